//! All integration tests in one binary, one module per area.

mod ingest;
mod layers;
