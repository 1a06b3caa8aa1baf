//! Texts to token ids, and token ids packed end to end.
//!
//! Truncation is done here and not by the tokenizer, so that it can be counted and costs nothing: the marks that the
//! model wants around a text are learnt once from the tokenizer, and put around what is kept of the ids.

use std::borrow::Cow;

use serde::Deserialize;
use tokenizers::Tokenizer;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

use crate::encode::wordpiece::WordPiece;
use crate::error::{Error, Problem, Result};
use crate::models::{Body, Kept, ModelFolder};

/// Texts as token ids, end to end, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackedTokens {
    /// The ids of all texts.
    pub(super) ids: Vec<u32>,
    /// Where each text begins in `ids`, and where the last one ends: one more than there are texts.
    pub(super) offsets: Vec<usize>,
    /// Tokens at the start of every text that take no part in pooling.
    pub(super) unpooled: usize,
}

impl PackedTokens {
    /// Puts texts end to end.
    pub(super) fn pack<'a>(texts: impl IntoIterator<Item = &'a [u32]>, unpooled: usize) -> Self {
        let mut packed = Self { ids: Vec::new(), offsets: vec![0], unpooled };
        for text in texts {
            packed.ids.extend_from_slice(text);
            packed.offsets.push(packed.ids.len());
        }
        packed
    }

    /// The first `middle` texts, and the others.
    pub(super) fn split_at(&self, middle: usize) -> (Self, Self) {
        let part = |range: std::ops::RangeInclusive<usize>| {
            let offsets = &self.offsets[range];
            let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
            Self {
                ids: self.ids[start..end].to_vec(),
                offsets: offsets.iter().map(|offset| offset - start).collect(),
                unpooled: self.unpooled,
            }
        };
        (part(0..=middle), part(middle..=self.len()))
    }

    /// The ids of each text.
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.offsets.windows(2).map(|ends| &self.ids[ends[0]..ends[1]])
    }

    /// Tokens of one text.
    pub(super) fn length(&self, text: usize) -> usize {
        self.offsets[text + 1] - self.offsets[text]
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// One text as token ids.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tokenised {
    pub(super) ids: Vec<u32>,
    /// Whether there was more than is kept.
    pub(super) truncated: bool,
}

/// How much of a text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextExtent {
    /// Tokens that were read.
    pub tokens: u32,
    /// Whether there were more, which the model does not read.
    pub truncated: bool,
}

impl Tokenised {
    pub(super) fn extent(&self) -> TextExtent {
        TextExtent { tokens: u32::try_from(self.ids.len()).unwrap_or(u32::MAX), truncated: self.truncated }
    }
}

/// A tokenizer with the model's own marks and limits.
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    /// The same, where it is of the kind that has a quick way.
    word_piece: Option<WordPiece>,
    label: String,
    begin: Vec<u32>,
    end: Vec<u32>,
    /// Ids kept of a text, marks not counted.
    limit: Option<usize>,
    keeps: Kept,
    skipped: Option<u32>,
}

/// Models may have rows that no token uses, to make the table a round size; more than this is another vocabulary.
const SPARE_ROWS: usize = 1024;

/// Bytes of text per token kept that are looked at: far more than any tokenizer needs, far less than a megabyte.
const BYTES_PER_TOKEN: usize = 64;

impl TextTokenizer {
    /// Makes the tokenizer of a model, reading `max_length` tokens of a text.
    pub(super) fn load(model: &ModelFolder, max_length: Option<usize>) -> Result<Self> {
        let (label, bytes) = &model.tokenizer;
        let refuse = |error: tokenizers::Error| {
            let problem = Problem::new(label, format!("cannot be read: {error}")).hint("fetch the model again");
            Error::Model(problem.source(error))
        };
        let mut tokenizer = Tokenizer::from_bytes(bytes.as_ref()).map_err(refuse)?;
        check_vocabulary(model, &tokenizer)?;
        let own_limit = tokenizer.get_truncation().map(|truncation| truncation.max_length);
        tokenizer.with_truncation(None).map_err(refuse)?;
        tokenizer.with_padding(None);
        if model.description.lower_case {
            lower_case(&mut tokenizer).map_err(refuse)?;
        }
        let mut loaded = Self {
            word_piece: WordPiece::of(&tokenizer),
            tokenizer,
            label: label.clone(),
            begin: Vec::new(),
            end: Vec::new(),
            limit: max_length,
            keeps: model.description.keeps,
            skipped: None,
        };
        match &model.description.body {
            Body::Transformer { .. } => loaded.learn_marks()?,
            Body::Static(table) => {
                // sentence-transformers leaves the limit that a static model's own tokenizer file sets.
                loaded.limit = max_length.or(own_limit);
                loaded.skipped =
                    if table.skips_unknown { unknown_token(label, bytes, &loaded.tokenizer)? } else { None };
            }
        }
        Ok(loaded)
    }

    /// The ids of `prompt` and `text` together, with the model's marks, cut to its limit.
    pub(super) fn tokenise(&self, prompt: &str, text: &str) -> Result<Tokenised> {
        let start = self.limit.map_or(text, |limit| reachable(text, limit, self.keeps));
        let cut_before = start.len() < text.len();
        let enough = match self.keeps {
            Kept::Start => self.limit.unwrap_or(usize::MAX),
            Kept::End => usize::MAX,
        };
        let prompted = if prompt.is_empty() { Cow::Borrowed(start) } else { Cow::Owned(format!("{prompt}{start}")) };
        let content = self.plain(&prompted, enough)?;
        let kept = match self.limit {
            Some(limit) if content.len() > limit => match self.keeps {
                Kept::Start => &content[..limit],
                Kept::End => &content[content.len() - limit..],
            },
            _ => &content[..],
        };
        let mut ids = Vec::with_capacity(self.begin.len() + kept.len() + self.end.len());
        ids.extend_from_slice(&self.begin);
        ids.extend(kept.iter().copied().filter(|&id| Some(id) != self.skipped));
        ids.extend_from_slice(&self.end);
        Ok(Tokenised { ids, truncated: cut_before || kept.len() < content.len() })
    }

    /// Tokens that a prompt puts before a text, the opening mark included.
    pub(super) fn prompt_length(&self, prompt: &str) -> Result<usize> {
        Ok(if prompt.is_empty() { 0 } else { self.begin.len() + self.plain(prompt, usize::MAX)?.len() })
    }

    /// The ids of a text without marks; where there are more than `enough`, perhaps only the first of them.
    fn plain(&self, text: &str, enough: usize) -> Result<Vec<u32>> {
        if let Some(ids) = self.word_piece.as_ref().and_then(|tokenizer| tokenizer.ids(text, enough)) {
            return Ok(ids);
        }
        Ok(self.encode(text, false)?.get_ids().to_vec())
    }

    fn encode(&self, text: &str, marks: bool) -> Result<tokenizers::Encoding> {
        self.tokenizer.encode_fast(text, marks).map_err(|error| {
            Error::Model(Problem::new(&self.label, format!("cannot tokenise a text: {error}")).source(error))
        })
    }

    /// Learns what is put around a text, and what that leaves of the limit.
    fn learn_marks(&mut self) -> Result<()> {
        let refuse = |cause: &str| {
            let hint = "choose a model whose tokenizer puts fixed marks before and after a single text";
            Err(Error::Model(Problem::new(&self.label, cause).hint(hint)))
        };
        let marked = self.encode("theme", true)?;
        let (ids, plain) = (marked.get_ids(), self.plain("theme", usize::MAX)?);
        let Some(at) = ids.windows(plain.len().max(1)).position(|window| window == plain) else {
            return refuse("changes a text where it adds its marks");
        };
        if marked.get_type_ids().iter().any(|&segment| segment != 0) {
            return refuse("puts a single text into another segment than the first");
        }
        let (begin, end) = (ids[..at].to_vec(), ids[at + plain.len()..].to_vec());
        if let Some(limit) = self.limit {
            let Some(room) = limit.checked_sub(begin.len() + end.len()).filter(|&room| room > 0) else {
                return refuse(&format!("needs more than the {limit} tokens that are allowed"));
            };
            self.limit = Some(room);
        }
        (self.begin, self.end) = (begin, end);
        Ok(())
    }
}

/// Refuses a tokenizer that belongs to another table of tokens.
fn check_vocabulary(model: &ModelFolder, tokenizer: &Tokenizer) -> Result<()> {
    let (rows, tokens) = (model.description.body.vocab_size(), tokenizer.get_vocab_size(true));
    // Asked id by id: a copy of the vocabulary would cost a tenth of a small model's loading.
    let beyond =
        (rows..rows + SPARE_ROWS).find(|&id| u32::try_from(id).is_ok_and(|id| tokenizer.id_to_token(id).is_some()));
    if tokens > rows || beyond.is_some() || rows > tokens + SPARE_ROWS {
        let cause = format!("knows {tokens} tokens, but the model has {rows} rows of them (`vocab_size`)");
        let hint = "the tokenizer belongs to another model: fetch both again from one place";
        return Err(Error::Model(Problem::new(&model.tokenizer.0, cause).hint(hint)));
    }
    Ok(())
}

/// Lower-cases before anything else, unless the tokenizer already does.
fn lower_case(tokenizer: &mut Tokenizer) -> tokenizers::Result<()> {
    let own = tokenizer.get_normalizer().cloned();
    let mut steps = vec![NormalizerWrapper::Lowercase(Lowercase)];
    steps.extend(own);
    tokenizer.with_normalizer(Some(Sequence::new(steps)))?;
    Ok(())
}

/// The id of the token for what the vocabulary does not know.
fn unknown_token(label: &str, bytes: &[u8], tokenizer: &Tokenizer) -> Result<Option<u32>> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        unk_token: Option<String>,
        unk_id: Option<u32>,
    }
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| Error::Model(Problem::new(label, format!("has no `model` that can be read: {error}"))))?;
    let by_name = file.model.unk_token.and_then(|token| tokenizer.token_to_id(&token));
    Ok(by_name.or(file.model.unk_id))
}

/// The part of a long text that `limit` tokens can come from: an abstract of a megabyte costs no more than a page.
fn reachable(text: &str, limit: usize, keeps: Kept) -> &str {
    let bytes = limit.saturating_mul(BYTES_PER_TOKEN);
    if text.len() <= bytes {
        return text;
    }
    match keeps {
        Kept::Start => &text[..text.floor_char_boundary(bytes)],
        Kept::End => &text[text.ceil_char_boundary(text.len() - bytes)..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_packed_end_to_end() {
        let packed = PackedTokens::pack([&[1, 2][..], &[], &[3]], 0);
        assert_eq!((packed.ids.as_slice(), packed.offsets.as_slice()), (&[1, 2, 3][..], &[0, 2, 2, 3][..]));
        assert_eq!(packed.len(), 3);
        assert_eq!(packed.texts().nth(2), Some(&[3][..]));
        let parts = (PackedTokens::pack([&[1, 2][..]], 0), PackedTokens::pack([&[][..], &[3]], 0));
        assert_eq!(packed.split_at(1), parts);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(1000);
        assert_eq!(reachable(&text, 1, Kept::Start).len(), 64);
        assert_eq!(reachable(&format!("x{text}"), 1, Kept::Start).len(), 63);
        assert_eq!(reachable(&format!("{text}x"), 1, Kept::End).len(), 63);
        assert_eq!(reachable("short", 1, Kept::Start), "short");
    }
}
