//! Parquet: rows become the papers that the same records in JSON become.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float32Array, Int32Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
};
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Outcome, options, read, read_paths, read_with};
use thematic::ingest::Format;

fn papers(rows: usize) -> RecordBatch {
    let column =
        |make: &dyn Fn(usize) -> Option<String>| Arc::new(StringArray::from_iter((0..rows).map(make))) as ArrayRef;
    let mut authors = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        authors.values().append_value("Ada Rossi");
        authors.values().append_value(format!("Kim {row}"));
        authors.append(true);
    }
    let years = Int32Array::from_iter_values((0..rows).map(|row| 2000 + row as i32 % 20));
    RecordBatch::try_from_iter([
        ("id", column(&|row| Some(format!("p{row}")))),
        ("title", column(&|row| Some(format!("Title {row} of \"sand\"\nand tides")))),
        ("abstract", column(&|row| (row % 3 > 0).then(|| format!("What happens on coast {row}.")))),
        ("authors", Arc::new(authors.finish())),
        ("year", Arc::new(years)),
        ("picture", Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| b"\x00\xff".as_slice())))),
        ("score", Arc::new(Float32Array::from(vec![0.5; rows]))),
    ])
    .expect("columns of one length")
}

fn file(path: &Path, rows: usize, codec: Compression) {
    let batch = papers(rows);
    let properties = WriterProperties::builder().set_compression(codec).set_max_row_group_row_count(Some(300)).build();
    let target = fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(target, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

fn read_file(rows: usize, codec: Compression) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("papers.parquet");
    file(&path, rows, codec);
    read_paths(&[&path], &options())
}

#[test]
fn rows_are_papers_whatever_the_compression() {
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::LZ4_RAW,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let outcome = read_file(700, codec);
        assert_eq!((outcome.drafts.len(), outcome.skips.len()), (700, 0), "{codec:?}");
        let draft = &outcome.drafts[640];
        assert_eq!(draft.title, "Title 640 of \"sand\"\nand tides");
        assert_eq!(draft.abstract_text, "What happens on coast 640.");
        assert_eq!(draft.authors, ["Ada Rossi", "Kim 640"]);
        assert_eq!(super::date(draft), "2000");
        assert_eq!(draft.provenance[0].line, Some(641), "a row is a line");
        assert_eq!(outcome.drafts[642].abstract_text, "", "a null is nothing");
    }
}

#[test]
fn columns_are_chosen_as_elsewhere_and_a_forced_format_does_not_mislead() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("papers.parquet");
    file(&path, 3, Compression::SNAPPY);
    let chosen =
        thematic::ingest::Options { text_column: Some("title".to_owned()), format: Some(Format::Table), ..options() };
    let outcome = read_paths(&[&path], &chosen);
    assert_eq!(outcome.drafts.len(), 3);
    assert!(outcome.drafts[0].abstract_text.starts_with("Title 0"), "{:?}", outcome.drafts[0]);
}

#[test]
fn what_is_damaged_is_said_and_what_came_before_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("papers.parquet");
    file(&path, 700, Compression::SNAPPY);
    let whole = fs::read(&path).expect("bytes");

    let cut_off = read("cut.parquet", &whole[..whole.len() / 2]);
    assert!(cut_off.reasons()[0].1.starts_with("is Parquet that cannot be read: "), "{:?}", cut_off.reasons());
    assert!(read("four.parquet", b"PAR1").reasons()[0].1.starts_with("is Parquet that cannot be read: "));

    // The last of three groups of rows lies in the third quarter of the file.
    let mut scratched = whole.clone();
    let at = whole.len() * 3 / 4;
    scratched[at..at + 64].fill(0xA5);
    let outcome = read("scratched.parquet", &scratched);
    assert!(outcome.drafts.len() < 700, "{}", outcome.drafts.len());
    assert_eq!(outcome.skips.len(), 1, "{:?}", outcome.skips);
    assert!(outcome.skips[0].reason.starts_with("reading stopped: "), "{:?}", outcome.skips);

    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&whole).expect("bytes");
    let zipped = read("papers.parquet.gz", encoder.finish().expect("gzip"));
    assert_eq!(zipped.reasons(), [(None, "is Parquet within another compression: decompress it first")]);
}

#[test]
fn a_file_without_text_is_no_file_of_papers() {
    let numbers: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"\x00".as_slice()]));
    let batch = RecordBatch::try_from_iter([("vector", numbers)]).expect("a column");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    let outcome = read_with("vectors.parquet", bytes, &options());
    assert_eq!(outcome.reasons(), [(None, "is Parquet without a column of text")]);
}
