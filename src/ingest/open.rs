//! From a path to plain bytes: opens, tells compression by its magic number, undoes it.
//!
//! Also knows the files that are certainly no papers by their first bytes, so that nobody sees a picture as text.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use crate::ingest::files::Source;
use crate::ingest::parquet_rows::{self, ParquetRows};
use crate::ingest::text::utf16;

/// A stream of bytes.
pub(super) type Bytes = Box<dyn Read + Send>;

/// How many bytes tell what a file is.
const HEAD: usize = 1024;
/// Archives in archives are read this deep.
const LAYERS: usize = 3;

/// What files of other kinds begin with, and what to say of them.
const KINDS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive (or an Office document): unpack or export it first"),
    (b"%PDF-", "a PDF: export the bibliography as BibTeX, RIS or JSON instead"),
    (b"SQLite format 3\0", "an SQLite database: `thematic export` writes a collection's papers as JSON Lines"),
    (b"BZh", "compressed with bzip2: decompress it first"),
    (b"\xFD7zXZ\0", "compressed with xz: decompress it first"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive: unpack it first"),
    (b"\x89PNG", "a picture, not papers"),
    (b"\xFF\xD8\xFF", "a picture, not papers"),
    (b"GIF8", "a picture, not papers"),
    (b"\x93NUMPY", "a NumPy array, not papers"),
    (b"\x7FELF", "a program, not papers"),
    (b"{\\rtf", "rich text: save it as plain text"),
    (b"\xD0\xCF\x11\xE0", "an Office document: export it as CSV"),
];
/// Where a tar archive says that it is one.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Why a file cannot be read as text.
pub(super) enum Unreadable {
    /// The operating system or the decompressor refused.
    Failed(io::Error),
    /// It is something else, in words that follow `is `.
    Foreign(Cow<'static, str>),
}

/// A source's text as bytes.
pub(super) struct Opened {
    pub(super) bytes: Bytes,
    /// Whether these are rows of Parquet, written as JSON Lines.
    pub(super) is_parquet: bool,
}

/// The bytes of a source, decompressed.
pub(super) fn open(source: &Source) -> Result<Opened, Unreadable> {
    let mut bytes: Bytes = match source {
        Source::Stdin => Box::new(io::stdin()),
        Source::File(path) => Box::new(File::open(path).map_err(Unreadable::Failed)?),
    };
    for layer in 0..LAYERS {
        let (head, whole) = peek(bytes).map_err(Unreadable::Failed)?;
        if head.starts_with(parquet_rows::MAGIC) {
            return parquet(source, layer);
        }
        if let Some(kind) = foreign(&head) {
            return Err(Unreadable::Foreign(kind.into()));
        }
        match head[..] {
            [0x1F, 0x8B, ..] => bytes = Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => {
                let decoder = zstd::stream::read::Decoder::with_buffer(buffered(whole));
                bytes = Box::new(decoder.map_err(Unreadable::Failed)?);
            }
            _ => return Ok(Opened { bytes: whole, is_parquet: false }),
        }
    }
    Err(Unreadable::Foreign("compressed too many times over".into()))
}

/// Parquet is read from its end, so it must be a file, and lie there as it is.
fn parquet(source: &Source, layer: usize) -> Result<Opened, Unreadable> {
    match source {
        Source::File(path) if layer == 0 => {
            let file = File::open(path).map_err(Unreadable::Failed)?;
            let rows = ParquetRows::open(file).map_err(|reason| Unreadable::Foreign(reason.into()))?;
            Ok(Opened { bytes: Box::new(rows), is_parquet: true })
        }
        Source::File(_) => Err(Unreadable::Foreign("Parquet within another compression: decompress it first".into())),
        Source::Stdin => Err(Unreadable::Foreign("Parquet, which standard input cannot carry: name the file".into())),
    }
}

/// What ended a stream early, in words.
pub(super) fn describe(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut short".to_owned(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => format!("the compressed data is damaged: {fault}"),
        _ => format!("reading stopped: {fault}"),
    }
}

/// The first bytes, and the stream with them in front again. A failure after the first byte is met again later, where
/// what came before it is kept.
fn peek(mut bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    match (&mut bytes).take(HEAD as u64).read_to_end(&mut head) {
        Err(error) if head.is_empty() => Err(error),
        Err(error) => Ok((head.clone(), Box::new(Cursor::new(head).chain(Failing(Some(error)))))),
        Ok(_) => Ok((head.clone(), Box::new(Cursor::new(head).chain(bytes)))),
    }
}

/// Fails once.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn buffered(bytes: Bytes) -> BufReader<Bytes> {
    BufReader::with_capacity(1 << 16, bytes)
}

fn foreign(head: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(kind);
    }
    if head.get(TAR_MAGIC) == Some(b"ustar".as_slice()) {
        return Some("a tar archive: unpack it first");
    }
    is_binary(head).then_some("binary, not text")
}

/// Whether more than a tenth of the bytes are control characters that no text has.
fn is_binary(head: &[u8]) -> bool {
    let is_compressed =
        matches!(head, [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
    if is_compressed || utf16(head).is_some() {
        return false;
    }
    let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1E);
    head.iter().filter(is_control).count() * 10 > head.len()
}
