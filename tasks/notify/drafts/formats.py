"""A draft in three formats: its Markdown, the same as HTML, and as a Word document.

The Markdown is the small part that our templates use: headings, paragraphs, lists and bold. The Word document
is WordprocessingML in a zip (ECMA-376); equal text gives equal bytes.
"""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

GAP = re.compile(r"\[TO BE COMPLETED: [^\]]*\]")
_PIECES = re.compile(r"(\*\*.+?\*\*|\[TO BE COMPLETED: [^\]]*\])")
_STYLE = (
    "body{font:16px/1.5 Georgia,serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#111}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:1.6rem}mark{background:#ffe08a;padding:0 .2em}"
)
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


@dataclass(frozen=True, slots=True)
class Block:
    kind: str  # h1, h2, p or li
    text: str


def blocks(markdown: str) -> Iterator[Block]:
    """Headings, list items and paragraphs, in order."""
    lines: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        special = re.match(r"(# |## |- )(.+)", line)
        if (special or not line.strip()) and lines:
            yield Block("p", " ".join(lines))
            lines = []
        if special:
            yield Block({"# ": "h1", "## ": "h2", "- ": "li"}[special.group(1)], special.group(2).strip())
        elif line.strip():
            lines.append(line.strip())


def to_html(markdown: str, language: str) -> str:
    """One page that loads nothing; gaps are marked."""
    body: list[str] = []
    title = ""
    for block in blocks(markdown):
        text = _inline_html(block.text)
        if block.kind == "li":
            if body and body[-1].endswith("</ul>"):
                body[-1] = body[-1].removesuffix("</ul>") + f"<li>{text}</li></ul>"
            else:
                body.append(f"<ul><li>{text}</li></ul>")
            continue
        title = title or block.text
        body.append(f"<{block.kind}>{text}</{block.kind}>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    content = "\n".join(body)
    top = f'<!doctype html>\n<html lang="{language}">\n<head>{head}</head>'
    return f"{top}\n<body>\n{content}\n</body>\n</html>\n"


def _inline_html(text: str) -> str:
    parts = []
    for piece in _PIECES.split(text):
        escaped = html.escape(piece.removeprefix("**").removesuffix("**"))
        if piece.startswith("**") and piece.endswith("**") and len(piece) > 4:
            parts.append(f"<strong>{escaped}</strong>")
        else:
            parts.append(f"<mark>{escaped}</mark>" if GAP.fullmatch(piece) else html.escape(piece))
    return "".join(parts)


def to_docx(markdown: str, language: str) -> bytes:
    """The bytes of a .docx file."""
    paragraphs = "".join(_paragraph(block) for block in blocks(markdown))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/><Override PartName="/word/styles.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/></Types>',
        "_rels/.rels": _relationship("officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": _relationship("styles", "styles.xml"),
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{paragraphs}<w:sectPr><w:pgSz w:w="11906" '
        'w:h="16838"/><w:pgMar w:top="1418" w:right="1418" w:bottom="1418" w:left="1418" w:header="709" '
        'w:footer="709" w:gutter="0"/></w:sectPr></w:body></w:document>',
        "word/styles.xml": _styles(language),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), _XML + content)
    return out.getvalue()


def _relationship(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/{kind}" Target="{target}"/></Relationships>'
    )


def _paragraph(block: Block) -> str:
    style = {"h1": "Heading1", "h2": "Heading2", "li": "ListParagraph"}.get(block.kind, "Normal")
    text = f"• {block.text}" if block.kind == "li" else block.text
    runs = []
    for piece in filter(None, _PIECES.split(text)):
        bold = piece.startswith("**") and piece.endswith("**") and len(piece) > 4
        mark = '<w:highlight w:val="yellow"/>' if GAP.fullmatch(piece) else ""
        look = f"<w:rPr>{'<w:b/>' if bold else ''}{mark}</w:rPr>" if bold or mark else ""
        shown = html.escape(_printable(piece[2:-2] if bold else piece), quote=False)
        runs.append(f'<w:r>{look}<w:t xml:space="preserve">{shown}</w:t></w:r>')
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{"".join(runs)}</w:p>'


def _printable(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", "", text)


def _styles(language: str) -> str:
    def style(name: str, shown: str, size: int, look: str, space: str, default: str = "") -> str:
        return (
            f'<w:style w:type="paragraph"{default} w:styleId="{name}"><w:name w:val="{shown}"/><w:pPr>{space}'
            f'</w:pPr><w:rPr>{look}<w:sz w:val="{size}"/><w:lang w:val="{language}"/></w:rPr></w:style>'
        )

    after = '<w:spacing w:before="{}" w:after="120"/>'
    return (
        f'<w:styles xmlns:w="{_W}">'
        + style("Normal", "Normal", 22, "", after.format(0), ' w:default="1"')
        + style("Heading1", "heading 1", 32, "<w:b/>", after.format(0))
        + style("Heading2", "heading 2", 26, "<w:b/>", after.format(240))
        + style("ListParagraph", "List Paragraph", 22, "", '<w:ind w:left="360"/>')
        + "</w:styles>"
    )
