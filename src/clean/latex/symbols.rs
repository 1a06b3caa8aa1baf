//! What the commands of TeX, LaTeX and its common packages mean.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Mode;

/// What to do about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A letter of an alphabet, which belongs to its word.
    Letter(&'static str),
    /// A sign.
    Symbol(&'static str),
    /// A word, an abbreviation or the name of a function.
    Word(&'static str),
    /// Room between words.
    Space,
    /// Changes the type face or the layout from here on.
    Switch,
    /// Sizes the delimiter that follows it; a full stop is the empty one.
    Delimiter,
    /// Says nothing to a reader, nor do so many arguments.
    Dropped(usize),
    /// Shows one argument, after `skipped` others, in `mode` or in that around it.
    Shown {
        skipped: usize,
        mode: Option<Mode>,
    },
    /// Shows its argument as a word of its own.
    Aside,
    /// Shows its argument as it is typed.
    Verbatim,
    Fraction,
    Root,
    /// Puts its argument between two signs.
    Around(&'static str, &'static str),
    DoubleStruck,
    CodePoint,
    Unknown,
}

const LETTERS: &str = "ss ß ae æ AE Æ oe œ OE Œ o ø O Ø l ł L Ł aa å AA Å i ı j ȷ dh ð DH Ð th þ TH Þ ng ŋ NG Ŋ dj đ DJ Đ \
    SS ẞ";

const SYMBOLS: &str = "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε eps ε zeta ζ eta η theta θ vartheta ϑ \
    iota ι kappa κ varkappa ϰ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ \
    upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ \
    Psi Ψ Omega Ω varGamma Γ varDelta Δ varLambda Λ varSigma Σ varOmega Ω \
    ell ℓ hbar ℏ imath ı jmath ȷ Re ℜ Im ℑ wp ℘ aleph ℵ infty ∞ partial ∂ nabla ∇ emptyset ∅ varnothing ∅ Bbbk 𝕜 \
    sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀ \
    pm ± mp ∓ times × div ÷ cdot · ast ∗ star ⋆ circ ∘ bullet • oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ cap ∩ cup ∪ sqcup ⊔ \
    wedge ∧ land ∧ vee ∨ lor ∨ setminus ∖ smallsetminus ∖ dagger † ddagger ‡ dag † ddag ‡ rtimes ⋊ ltimes ⋉ wr ≀ \
    bowtie ⋈ neg ¬ lnot ¬ forall ∀ exists ∃ nexists ∄ top ⊤ bot ⊥ angle ∠ triangle △ square □ Box □ blacksquare ■ \
    diamond ⋄ Diamond ◇ sharp ♯ flat ♭ natural ♮ checkmark ✓ cmark ✓ xmark ✗ prime ′ backprime ‵ degree ° \
    textdegree ° S § P ¶ copyright © textcopyright © pounds £ textregistered ® texttrademark ™ euro € texteuro € \
    ldots … dots … cdots … dotsc … dotsb … textellipsis … vdots ⋮ ddots ⋱ \
    textendash – textemdash — textquoteright ’ textquoteleft ‘ textquotedblleft “ textquotedblright ” lq ‘ rq ’ \
    textquotesingle ' textasciitilde ~ textasciicircum ^ textunderscore _ textbar | textless < textgreater > \
    textpm ± texttimes × textmu μ micro μ textbullet • textperiodcentered · guillemotleft « guillemotright » \
    textbackslash \\ backslash \\ lbrace { rbrace } langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ \
    lvert | rvert | vert | lVert ‖ rVert ‖ Vert ‖ mid | colon : lbrack [ rbrack ] lt < gt > \
    percent % sun ☉ male ♂ female ♀ arcsec ″ arcmin ′ micron μm Msun M⊙ msun M⊙ Lsun L⊙ Rsun R⊙ \
    leq ≤ le ≤ leqslant ≤ geq ≥ ge ≥ geqslant ≥ ll ≪ gg ≫ neq ≠ ne ≠ equiv ≡ approx ≈ approxeq ≊ sim ∼ simeq ≃ \
    cong ≅ asymp ≍ propto ∝ varpropto ∝ lesssim ≲ gtrsim ≳ lessapprox ⪅ gtrapprox ⪆ prec ≺ succ ≻ preceq ⪯ succeq ⪰ \
    perp ⊥ parallel ∥ nmid ∤ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋ in ∈ notin ∉ ni ∋ \
    doteq ≐ triangleq ≜ coloneqq ≔ vdash ⊢ models ⊨ vDash ⊨ lhd ⊲ rhd ⊳ to → rightarrow → leftarrow ← gets ← \
    longrightarrow ⟶ longleftarrow ⟵ leftrightarrow ↔ longleftrightarrow ⟷ Rightarrow ⇒ Leftarrow ⇐ \
    Leftrightarrow ⇔ Longrightarrow ⟹ implies ⟹ impliedby ⟸ iff ⟺ mapsto ↦ longmapsto ⟼ hookrightarrow ↪ \
    hookleftarrow ↩ twoheadrightarrow ↠ rightarrowtail ↣ rightharpoonup ⇀ rightleftharpoons ⇌ rightsquigarrow ⇝ \
    leadsto ⇝ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ nwarrow ↖ swarrow ↙ \
    upharpoonright ↾ restriction ↾";

/// Signs that stand between two others.
const RELATIONS: &str = "≤≥≪≫≠≡≈≊∼≃≅≍∝≲≳⪅⪆≺≻⪯⪰⊥∥∤⊂⊃⊆⊇⊊⊋∈∉∋≐≜≔⊢⊨⊲⊳→←⟶⟵↔⟷⇒⇐⇔⟹⟸⟺↦⟼↪↩↠↣⇀⇌⇝×±∓·∪∩∧∨⊕⊗∖⋊⋉÷∘";

const OPERATORS: &str = "log ln lg exp sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth max min sup inf \
    lim limsup liminf argmax argmin arg det dim ker hom deg gcd lcm rank tr Tr diag sign sgn Pr bmod mod supp span";

const SPACES: &str = "quad qquad enspace enskip space par newline linebreak hfill hfil smallskip medskip bigskip item \
    thinspace newpage break and";

const SWITCHES: &str = "rm it bf em tt sf sl sc cal mit frak small large Large footnotesize tiny scriptsize normalsize \
    centering noindent displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits protect relax xspace \
    bfseries itshape ttfamily sffamily rmfamily scshape upshape normalfont mdseries slshape mathstrut strut sloppy \
    boldmath unboldmath mathsurround nonumber notag allowbreak nobreak maketitle hskip";

const DELIMITERS: &str = "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm";

const DROPPED: &str = "cite citep citet citealp citealt citeauthor citeyear citeyearpar parencite textcite autocite \
    footcite nocite onlinecite citenum ref eqref label pageref cref Cref autoref nameref vref bibliography \
    bibliographystyle includegraphics documentclass usepackage vspace hspace color pagestyle thispagestyle begin end \
    thanks footnotemark phantom hphantom vphantom selectlanguage pagenumbering index";

const SHOWN: &str = "emph textit textbf textsl textsc texttt textsf textrm textup textmd textnormal textsuperscript \
    textsubscript underline uline ul enquote hl st sout uppercase lowercase MakeUppercase  mbox hbox text \
    textin fbox intertext ensuremath mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak mathnormal boldsymbol \
    bm pmb bar hat tilde vec dot ddot dddot check breve acute grave widehat widetilde widebar overline \
    overrightarrow overleftarrow mathring underbrace overbrace ce ion mathop mathbin mathrel mathord \
    operatorname operatornamewithlimits substack smash xrightarrow xleftarrow boxed cancel mathstrut num si unit gls \
    acs ac acp acf Gls glspl acl";

const PROSE: &str = "text mbox hbox textrm textit textbf textsf texttt textsc textup textnormal emph fbox intertext \
     enquote";

const ABBREVIATIONS: &str = "eg e.g. ie i.e. etc etc. vs vs. wrt w.r.t. iid i.i.d. cf cf. aka a.k.a. \
    kms km/s LaTeX LaTeX TeX TeX BibTeX BibTeX LaTeXe LaTeX Eg E.g. Ie I.e.";

static MEANINGS: LazyLock<HashMap<&'static str, Meaning>> = LazyLock::new(meanings);

fn meanings() -> HashMap<&'static str, Meaning> {
    let mut table = HashMap::new();
    table.extend(pairs(LETTERS).map(|(name, letter)| (name, Meaning::Letter(letter))));
    table.extend(pairs(SYMBOLS).map(|(name, symbol)| (name, Meaning::Symbol(symbol))));
    table.extend(pairs(ABBREVIATIONS).map(|(name, text)| (name, Meaning::Word(text))));
    table.insert("etal", Meaning::Word("et al."));
    table.extend(OPERATORS.split_whitespace().map(|name| (name, Meaning::Word(name))));
    table.extend(names(SPACES, Meaning::Space));
    table.extend(names(SWITCHES, Meaning::Switch));
    table.extend(names(DELIMITERS, Meaning::Delimiter));
    table.extend(names(DROPPED, Meaning::Dropped(1)));
    table.extend(names("setlength addtolength renewcommand newcommand", Meaning::Dropped(2)));
    table.extend(names(SHOWN, Meaning::Shown { skipped: 0, mode: None }));
    table.extend(names(PROSE, Meaning::Shown { skipped: 0, mode: Some(Mode::Text) }));
    let second = Meaning::Shown { skipped: 1, mode: None };
    table.extend(names("href textcolor colorbox overset underset stackrel scalebox raisebox", second));
    table.extend(names("url path nolinkurl verb", Meaning::Verbatim));
    table.extend(names("frac dfrac tfrac cfrac nicefrac sfrac flatfrac", Meaning::Fraction));
    table.extend(names("mathbb Bbb mathds mathbbm", Meaning::DoubleStruck));
    table.insert("footnote", Meaning::Aside);
    table.insert("sqrt", Meaning::Root);
    table.insert("unicode", Meaning::CodePoint);
    table.insert("pmod", Meaning::Around("(mod ", ")"));
    table.insert("ket", Meaning::Around("|", "⟩"));
    table.insert("bra", Meaning::Around("⟨", "|"));
    table.insert("abs", Meaning::Around("|", "|"));
    table.insert("norm", Meaning::Around("‖", "‖"));
    table.insert("over", Meaning::Symbol("/"));
    table.insert("choose", Meaning::Word("choose"));
    table
}

fn names(list: &'static str, meaning: Meaning) -> impl Iterator<Item = (&'static str, Meaning)> {
    list.split_whitespace().map(move |name| (name, meaning))
}

fn pairs(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut words = list.split_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
}

/// What `\name` means. In a formula authors give short names to the number systems; in prose they are initials.
pub(super) fn meaning(name: &str, mode: Mode) -> Meaning {
    if let Some(letter) = double_struck(name).filter(|_| mode == Mode::Math) {
        return Meaning::Symbol(letter);
    }
    MEANINGS.get(name).copied().unwrap_or(Meaning::Unknown)
}

/// Whether a group right after the command belongs to it.
pub(super) fn takes_argument(name: &str) -> bool {
    let known = MEANINGS.get(name);
    known.is_some_and(|meaning| {
        matches!(meaning, Meaning::Shown { .. } | Meaning::DoubleStruck | Meaning::Root | Meaning::Around(..))
    })
}

/// Whether no list has the name.
pub(super) fn is_unknown(name: &str) -> bool {
    !MEANINGS.contains_key(name)
}

/// Whether the sign stands between two others.
pub(super) fn is_relation(symbol: &str) -> bool {
    symbol.chars().all(|c| RELATIONS.contains(c))
}

/// The letters that have a double-struck form of their own outside the mathematical alphabets.
pub(super) fn double_struck(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "C" => "ℂ",
        "H" => "ℍ",
        "N" => "ℕ",
        "P" => "ℙ",
        "Q" => "ℚ",
        "R" => "ℝ",
        "Z" => "ℤ",
        _ => return None,
    })
}

/// The letter of a font command that lost its braces: `\mathbbR`, `\mathcalL`.
pub(super) fn without_font(name: &str) -> Option<&str> {
    let fonts = ["mathbb", "mathcal", "mathbf", "mathrm", "mathfrak", "mathsf", "mathscr", "mathit", "bm", "sqrt"];
    fonts.iter().find_map(|font| name.strip_prefix(font).filter(|letter| letter.len() == 1))
}
