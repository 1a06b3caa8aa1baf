//! All integration tests in one binary, one module per area.

mod encode;
mod hub;
mod layers;
mod models;
mod tiny;
