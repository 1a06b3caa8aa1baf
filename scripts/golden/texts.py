"""The texts whose vectors are compared: written for this repository, composed without chance.

`golden_texts()` gives 200 of them: sentences, titles, abstracts, texts beyond every maximum length, one word,
nothing, whitespace, accents, other scripts, formulas, symbols.
"""

SENTENCES = [
    "We measure how slowly a warm layer of salt water gives its heat to the ice above it",
    "Two telescopes on different continents watched the same faint star for eleven nights",
    "A small network reads the sound of a beehive and tells whether the queen is present",
    "The proof replaces a compactness argument by an explicit construction on finite trees",
    "Patients who walked every morning slept longer, and the effect did not fade within a year",
    "Our catalyst turns carbon dioxide into formate at room temperature without a noble metal",
    "Street noise was recorded at forty crossings before and after the speed limit was lowered",
    "The model forgets old tasks less when its updates are kept orthogonal to earlier gradients",
    "Grain boundaries in the alloy act as short cuts for hydrogen and make it brittle",
    "Villages that shared one well settled disputes faster than villages with many wells",
    "A gap in the spectrum protects the edge current against weak disorder",
    "We compare nine ways of estimating a rare event and find that two of them are biased",
    "Seeds stored for a century still germinate, though fewer do with every decade",
    "The compiler proves the absence of data races by tracking who may write to a value",
    "Coral larvae settle where they hear a healthy reef and avoid silence",
    "An auction with hidden reserve prices raises less than its designers expected",
    "The bridge was loaded with sand until a hairline crack appeared at the third joint",
    "Children learn the names of colours before they can sort objects by colour",
    "Neutrinos from the explosion arrived hours before its light",
    "A wooden sensor, cheap enough to be left in the field, counts insects by their wing beat",
    "The algorithm needs memory that grows with the logarithm of the input only",
    "Vaccinated herds carried fewer resistant strains five winters later",
    "Dust from the desert feeds the forest on the other side of the ocean",
    "Readers trusted the summary more when it named its sources, right or wrong",
    "We derive the equation of state from first principles and test it against shock data",
    "The manuscript was copied by three hands, one of which corrected the other two",
    "Faults in the power grid spread along lines that no planner had considered critical",
    "A protein that folds backwards in the cold folds normally when salt is added",
    "Queues with impatient customers are stable under a condition that is easy to check",
    "The rover found clay where the map of the orbiter promised basalt",
]

SUBJECTS = ["Sea ice", "Sparse attention", "Gut bacteria", "Prime gaps", "Urban trees", "Quantum dots", "Old maps"]
ASPECTS = ["under uncertainty", "at low temperature", "in growing cities", "without supervision", "revisited"]

ODD = [
    "",
    " ",
    "\n\t  \n",
    ".",
    "?!",
    "a",
    "I",
    "42",
    "theme",
    "Photosynthesis",
    "UNEXPECTEDLY LARGE EFFECTS IN A SMALL SAMPLE",
    "unbelievablylongcompoundwordthatnovocabularyholdsasonepieceandthatmustbecutintomanypieces",
    "x" * 150,
    "one  two   three    four\tfive\nsix\r\nseven",
    "Étude des mélanges à l'équilibre : où naît l'été, là où naît la forêt",
    "Über die Größe kleiner Brüche und die Schärfe müder Äpfel",
    "Señales débiles del océano profundo; corazón, niñez y pingüinos",
    "Zażółć gęślą jaźń: o wymowie samogłosek nosowych",
    "Příliš žluťoučký kůň a měření jeho běhu",
    "İstanbul'da ışık kirliliği ve gökyüzü",
    "Cafe\u0301 and caf\u00e9 are one word in two spellings",
    "Исследование медленных волн в мелкой воде",
    "Μελέτη της διάθλασης του φωτός στον πάγο",
    "深度学习在海冰预测中的应用",
    "我们测量了温暖海水向冰层传热的速度。",
    "小さな観測網による地震の早期検知",
    "한국어로 쓰인 짧은 초록의 예",
    "دراسة حركة الكثبان الرملية في الصحراء",
    "חקר של גלים איטיים במים רדודים",
    "การศึกษาการเคลื่อนที่ของเนินทราย",
    "हिमनदों के पिघलने का अध्ययन",
    "We show that $O(n \\log n)$ comparisons suffice when $\\epsilon \\to 0$",
    "Let $f\\colon \\mathbb{R}^n \\to \\mathbb{R}$ satisfy $\\|\\nabla f\\|_2 \\le L$ almost everywhere.",
    "The mass is $m_\\nu < 0.8\\,\\mathrm{eV}$ at 90\\% confidence, from \\textit{beta} decay in ${}^{3}$H",
    "\\begin{equation} E = mc^2 \\end{equation} holds; see \\cite{ours}.",
    "α-synuclein, β-amyloid and γ-secretase at 37 °C ± 0.5 °C",
    "H₂O → H⁺ + OH⁻, ΔG = −237 kJ·mol⁻¹",
    "Results improved by 3.5–4.2% (p < 0.001, n = 1,024)",
    "Bees 🐝 and flowers 🌸: who finds whom? 🤔",
    "👩‍🔬 measured, 👨‍💻 computed, nobody slept 😴😴😴",
    "See https://example.org/paper?id=12&lang=en or write to someone@example.org",
    "C++17, F#, .NET and R's data.table on a 64-bit CPU",
    "self-supervised, state-of-the-art, so-called \"zero-shot\" learning – or not…",
    "[CLS] the marks of the tokenizer inside a text [SEP] are taken as marks [MASK]",
    "A title[SEP]An abstract after the separator.",
    "don't, can't, it's, the authors' – and “curly” ‘quotes’",
    "full-width ＡＢＣ１２３ and ligatures: ﬁnal ﬂow, ½ of №5",
    "soft\u00adhyphen, zero\u200bwidth, no\u00a0break, direction\u200e marks, \ufeffbyte order",
    "control\u0001 characters\u0007 and a replacement \ufffd",
    "ⅣⅧ 𝐛𝐨𝐥𝐝 𝔣𝔯𝔞𝔨𝔱𝔲𝔯 ℝ ℵ ∮ ∂ ∇ ≪ ≫",
    "tabs\tand\x0bvertical\x0cfeeds",
    "a" + "\u0301" * 20 + " stacked accents",
]


def sentence(at: int) -> str:
    return SENTENCES[at % len(SENTENCES)]


def abstract(start: int, count: int, step: int = 7) -> str:
    return " ".join(f"{sentence(start + step * i)}." for i in range(count))


def title(at: int) -> str:
    return f"{SUBJECTS[at % len(SUBJECTS)]} {ASPECTS[(at // 2) % len(ASPECTS)]}"


def golden_texts() -> list[str]:
    texts = list(ODD)
    texts += [sentence(i) + "." for i in range(30)]
    texts += [title(i) for i in range(14)]
    texts += [f"{title(i)}. {abstract(i, 3 + i % 8)}" for i in range(60)]
    texts += [abstract(i, 18 + i, 11) for i in range(24)]
    texts += [abstract(i, 60 + 15 * i, 13) for i in range(6)]
    texts += [f"{sentence(i).upper()}! {sentence(i + 1)}; {sentence(i + 2)}?" for i in range(200 - len(texts))]
    assert len(texts) == 200, len(texts)
    return texts


def marked_texts() -> list[str]:
    """Texts that contain the marks that tokenizers put around texts: models count some of them in other ways."""
    return [
        "a text with <pad> in its middle and <pad><pad> twice more",
        "<s> sea ice </s> and <mask> again",
        "[CLS] coral larvae [PAD] settle [SEP] where they hear a reef [MASK]",
        "<pad>",
        "[PAD]",
        "Where does <unk> end<|endoftext|> and <|im_end|> begin?",
    ]
