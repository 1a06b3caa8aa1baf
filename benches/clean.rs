//! Cleaning: megabytes a second on plain text, on TeX and on tagged text.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use thematic::clean::clean_abstract;

const PLAIN: &str = "Rivers carry sediment from mountains to the sea, and the shape of a valley records how fast they \
    do so. We compare 412 valleys (mean slope 3.1%) and find that the older half erodes at half the rate of the \
    younger one; the model's error is below 0.2 m per year. ";

const TEX: &str = "We prove that every $k$-regular graph on $n \\geq 3$ vertices has a \\emph{spanning} tree of \
    diameter $O(\\log n)$,\n  which answers a question of Erd\\H{o}s~\\cite{E59} and improves the bound \
    $\\frac{n}{2} + x_{ij}^2$ by 16\\% --- for ``almost all'' graphs.\n";

const TAGGED: &str = "<jats:title>Aims</jats:title><jats:p>We measured CO<jats:sub>2</jats:sub> &amp; soil moisture in \
    <jats:italic>Quercus</jats:italic> stands (p &lt; 0.05) over several years of drought and rain.</jats:p>\n";

fn main() {
    divan::main();
}

#[divan::bench(args = ["plain", "tex", "tagged"], sample_count = 50)]
fn abstracts(bencher: Bencher<'_, '_>, kind: &str) {
    let unit = match kind {
        "plain" => PLAIN,
        "tex" => TEX,
        _ => TAGGED,
    };
    let text = unit.repeat(5);
    let text = text.trim_end();
    bencher.counter(BytesCount::of_str(text)).bench(|| black_box(clean_abstract(black_box(text)).len()));
}
