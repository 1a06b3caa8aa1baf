//! Which brace closes which, found once per text, and what braces mean.

/// Pairs of braces that belong together, escaped ones left out.
#[derive(Debug)]
pub(super) struct Groups {
    /// Opening and closing offsets, sorted by the opening one.
    pairs: Vec<(usize, usize)>,
}

impl Groups {
    pub(super) fn of(text: &str) -> Self {
        let mut pairs = Vec::new();
        let mut open = Vec::new();
        let mut escaped = false;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => {}
                b'{' => open.push(at),
                b'}' => pairs.extend(open.pop().map(|start| (start, at))),
                _ => {}
            }
            escaped = byte == b'\\' && !escaped;
        }
        pairs.sort_unstable();
        Self { pairs }
    }

    /// Where the group that opens at `open` closes in the whole text.
    pub(super) fn close_of(&self, open: usize) -> Option<usize> {
        let found = self.pairs.binary_search_by_key(&open, |pair| pair.0).ok()?;
        Some(self.pairs[found].1)
    }
}

/// Whether braces with this inside are part of the text (a set, code) rather than of TeX. BibTeX protects words,
/// which have letters and little else.
pub(super) fn is_literal(inside: &str) -> bool {
    let trimmed = inside.trim();
    let Some(first) = trimmed.chars().next() else { return false };
    if inside.contains(['\\', '$']) || trimmed.chars().nth(1).is_none() {
        return false;
    }
    let wordy = |c: char| c.is_alphanumeric() || c.is_whitespace() || "{}-–'’.&+/:()\"".contains(c);
    !(first.is_alphabetic() || "{\"".contains(first)) || !trimmed.chars().all(wordy)
}

/// Whether this is what unarXive leaves for a reference: `{cite:0af3}` inside another pair of braces.
pub(super) fn is_placeholder(inside: &str) -> bool {
    let Some(inner) = inside.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) else { return false };
    let Some((kind, key)) = inner.split_once(':') else { return false };
    let known = ["cite", "formula", "figure", "table", "section", "ref"].contains(&kind);
    known && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.,:".contains(&byte))
}
