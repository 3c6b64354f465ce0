"""First and last names by region, with the ways other systems and hurried people spell them."""

from __future__ import annotations

import unicodedata

_NAMES = {
    "us": (
        "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara"
        " Richard Susan Joseph Jessica Thomas Karen Tyler Ashley",
        "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Jackson"
        " Martin Lee Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott"
        " O'Brien Nguyen Hill Baker",
    ),
    "en": (
        "Oliver Amelia Harry Isla George Ava Noah Emily Jack Sophie Charlie Grace Oscar Freya"
        " Thandi Ngozi Liam Niamh Sipho Chloe",
        "Taylor Davies Evans Thomas Roberts Walker Wright Hughes Green Edwards Lewis Wood Harris"
        " Clarke Murphy Kelly Byrne MacDonald Campbell Stewart Dlamini Okafor Mwangi Botha Fraser",
    ),
    "de": (
        "Anna Lukas Jürgen Sabine Björn Käthe Maximilian Lea Stefan Jörg Günter Petra Felix Marlene"
        " Uwe Änne Tobias Sophie Hannes Ute",
        "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch"
        " Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Krüger Köhler Größ Lehmann"
        " Huber",
    ),
    "fr": (
        "Camille Louis Chloé Gabriel Léa Raphaël Manon Hugo Zoé François Élodie Benoît Margaux"
        " Jérôme Inès Théo Hélène Mathieu Agnès Lucas",
        "Martin Bernard Dubois Thomas Robert Petit Durand Leroy Moreau Simon Laurent Lefèvre Michel"
        " Garcia David Bertrand Roux Vincent Fournier Morel Girard André Mercier Dupont Lambert",
    ),
    "es": (
        "Lucía Hugo Sofía Martín María Daniel Paula Pablo Valeria Álvaro Carmen José Isabel Andrés"
        " Ramón Inés Joaquín Pilar Rubén Elena",
        "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz"
        " Hernández Díaz Moreno Muñoz Álvarez Romero Alonso Gutiérrez Navarro Torres Domínguez"
        " Vázquez Ibáñez",
    ),
    "it": (
        "Giulia Leonardo Sofia Francesco Aurora Alessandro Alice Lorenzo Ginevra Mattia Emma Andrea"
        " Chiara Luca Nicolò Martina Davide Sara Elena Paolo",
        "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti"
        " Costa Giordano Mancini Rizzo Lombardi Moretti Barbieri Fontana Santoro Popescu Ionescu"
        " D'Angelo",
    ),
    "nl": (
        "Daan Emma Sem Julia Lucas Mila Levi Tess Finn Sophie Bram Zoë Luuk Sara Thijs Anouk Ruben"
        " Fleur Joost Noëlle",
        "Jansen Bakker Visser Smit Meijer Mulder Bos Vos Peters Hendriks Dekker Brouwer Dijkstra"
        " Smits Vermeulen Peeters Janssens Maes Jacobs Mertens Willems Claes Goossens Wouters Koster",
    ),
    "sv": (
        "Elsa Lars Maja Oskar Astrid Björn Freja Åke Linnea Søren Ingrid Erik Saga Håkon Karin"
        " Mikko Aino Anders Sigrid Jörgen",
        "Andersson Johansson Karlsson Nilsson Eriksson Larsson Olsson Persson Svensson Gustafsson"
        " Hansen Olsen Pedersen Jensen Nielsen Christensen Sørensen Korhonen Virtanen Mäkinen Åberg"
        " Öberg Tamm Sjöström Dahl",
    ),
    "pt": (
        "Maria João Ana Pedro Beatriz Tiago Inês Gonçalo Luísa Rafael Fernanda Thiago Letícia Caio"
        " Júlia Rodrigo Larissa André Marta Vítor",
        "Silva Santos Ferreira Pereira Oliveira Costa Rodrigues Martins Sousa Fernandes Gonçalves"
        " Gomes Lopes Marques Alves Almeida Ribeiro Pinto Carvalho Teixeira Araújo Conceição"
        " Magalhães Simões Barbosa",
    ),
    "pl": (
        "Zofia Jakub Hanna Antoni Małgorzata Łukasz Agnieszka Paweł Katarzyna Michał Jiří Eliška"
        " Václav Žofia Ágnes László Ivana Petar Oksana Dmytro",
        "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański"
        " Woźniak Dąbrowski Novák Svoboda Dvořák Černý Procházka Horváth Nagy Kovács Tóth Ivanov"
        " Petrov Shevchenko Kovač Babić",
    ),
    "gr": (
        "Maria Georgios Eleni Dimitris Katerina Ioannis Sofia Nikos Vasiliki Kostas Noa David Tamar"
        " Yosef Maya Daniel Christos Anna Andreas Despina",
        "Papadopoulos Georgiou Nikolaidis Papadakis Ioannou Dimitriou Vlachos Angelopoulos"
        " Karagiannis Makris Cohen Levi Mizrahi Peretz Biton Friedman Katz Azoulay Christou"
        " Constantinou Antoniou Samaras",
    ),
    "tr": (
        "Zeynep Mehmet Elif Mustafa Ayşe Ahmet Fatma Ali Emine Hüseyin Şule İbrahim Gül Ömer Çiğdem"
        " Yusuf Derya Kemal Özlem Murat",
        "Yılmaz Kaya Demir Çelik Şahin Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç"
        " Aslan Çetin Kara Koç Kurt Özkan Şimşek Polat Korkmaz Güneş Erdoğan",
    ),
    "ja": (
        "Haruto Yui Sota Aoi Yuto Hina Ren Sakura Kaito Yuna Takumi Mei Daiki Rin Kenji Akiko"
        " Hiroshi Emi Shota Naoko",
        "Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada"
        " Sasaki Yamaguchi Matsumoto Inoue Kimura Hayashi Shimizu Saito Mori Abe Ikeda Hashimoto"
        " Ishikawa",
    ),
    "ko": (
        "Minjun Seoyeon Jiho Jiwoo Hajun Seoyun Dohyun Haeun Jiyoung Sungmin Eunji Hyunwoo Yuna"
        " Taehyung Soomin Jaewon Minji Donghyun",
        "Kim Lee Park Choi Jung Kang Cho Yoon Jang Lim Han Oh Seo Shin Kwon Hwang Ahn Song Ryu Hong",
    ),
    "zh": (
        "Wei Fang Jing Lei Yan Jun Min Tao Xiu Hao Mei Ling Kai Hui Qiang Xin Siti Ahmad Jia Peng",
        "Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Tan Lim Wong"
        " Chan Cheung Ng Goh",
    ),
    "vi": (
        "Anh Bình Chi Dũng Hà Hùng Lan Linh Minh Nga Phúc Quân Thảo Trang Tuấn Somchai Malee Niran"
        " Ploy Kanya",
        "Nguyễn Trần Lê Phạm Hoàng Phan Vũ Đặng Bùi Đỗ Hồ Ngô Dương Lý Saetang Suwan Chaiyasit"
        " Srisai Thongchai Wongsa",
    ),
    "in": (
        "Aarav Ananya Vivaan Diya Aditya Priya Arjun Isha Rohan Kavya Vikram Neha Sanjay Lakshmi"
        " Rahul Meera Karthik Pooja Imran Fatima",
        "Sharma Verma Gupta Singh Kumar Patel Reddy Nair Iyer Menon Joshi Desai Mehta Shah Rao Das"
        " Chatterjee Banerjee Mukherjee Khan Ansari Pillai Kapoor Malhotra Bhat",
    ),
    "ar": (
        "Ahmed Fatima Mohammed Aisha Omar Layla Khalid Noor Yusuf Mariam Hassan Salma Tariq Huda"
        " Budi Dewi Putri Agus Youssef Zineb",
        "Al-Harbi Al-Qahtani Hassan Ibrahim Mahmoud Saleh El-Sayed Farouk Mansour Abdullah Haddad"
        " Khoury Rahman Wijaya Santoso Hidayat Pratama Setiawan Benali Alaoui Idrissi Berrada Al-"
        " Mutairi Nasser",
    ),
}

GROUPS: tuple[str, ...] = tuple(_NAMES)
FIRST: dict[str, tuple[str, ...]] = {group: tuple(first.split()) for group, (first, _) in _NAMES.items()}
LAST: dict[str, tuple[str, ...]] = {group: tuple(last.split()) for group, (_, last) in _NAMES.items()}

_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "đ": "d", "Đ": "D", "æ": "ae"}
)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})


def plain(name: str) -> str:
    """Without diacritics: Müller -> Muller, Łukasz -> Lukasz."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def spelled_out(name: str) -> str:
    """As a German keyboard writes it without umlauts: Müller -> Mueller; the rest without diacritics."""
    return plain(name.translate(_GERMAN))


def mail_part(name: str) -> str:
    """What of a name stands in an e-mail address: lower-case ASCII letters only."""
    return "".join(char for char in plain(name).lower() if char.isascii() and char.isalpha())


STREETS = {
    "us": "Main St|Oak Ave|Maple Dr|Washington Blvd|2nd St|Park Ave|Cedar Ln|Elm St",
    "en": "High Street|Station Road|Church Lane|Victoria Road|Mill Lane|The Crescent",
    "de": "Hauptstraße|Bahnhofstr.|Gartenweg|Lindenallee|Schulstraße|Am Markt",
    "fr": "rue de la République|avenue Victor Hugo|rue des Écoles|boulevard Voltaire",
    "es": "Calle Mayor|Avenida de la Constitución|Calle Real|Paseo del Prado",
    "it": "Via Roma|Corso Italia|Via Garibaldi|Piazza Dante",
    "nl": "Kerkstraat|Dorpsstraat|Molenweg|Stationsstraat",
    "sv": "Storgatan|Kungsgatan|Skolgatan|Kirkeveien",
    "pt": "Rua Augusta|Avenida da Liberdade|Rua das Flores|Travessa do Carmo",
    "pl": "ul. Polna|ul. Leśna|ul. Słoneczna|Hlavní",
}


def streets(group: str) -> tuple[str, ...]:
    """Street names of a region; regions without their own list use the English one."""
    return tuple(STREETS.get(group, STREETS["en"]).split("|"))
