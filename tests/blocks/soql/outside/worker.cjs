// Reads one JSON string (a SOQL statement) a line; answers with its tree, or why it was refused, in one line.
const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");
const { parseQuery } = createRequire(process.argv[2] + "/")("@jetstreamapp/soql-parser-js");

const answer = (text) => {
  try {
    return { tree: parseQuery(text, { allowApexBindVariables: true }) };
  } catch (error) {
    return { refused: String(error.message).slice(0, 300) };
  }
};

createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + "\n");
});
