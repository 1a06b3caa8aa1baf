//! The answers of a program without a GPU side: none is opened, so nothing is asked of one.

use super::Failure;
use crate::error::Result;
use crate::kernel::{Nearest, TopK};

/// A device that selects, of which there is none.
#[derive(Debug)]
pub enum Selector {}

/// Rows to select among, on a device that there is not.
#[derive(Debug)]
pub struct DeviceRows<'a>(&'a Selector);

impl Selector {
    /// Opens no device.
    ///
    /// # Errors
    /// Always [`crate::error::Error::Device`].
    pub fn open(ordinal: usize) -> Result<Self> {
        Err(Failure::NotBuilt.on(&format!("device `cuda:{ordinal}`")))
    }

    /// As on a device.
    ///
    /// # Errors
    /// Where there is a device, and it fails.
    pub fn hold<'a>(&'a self, _rows: &'a [f32], _dim: usize) -> Result<DeviceRows<'a>> {
        match *self {}
    }

    /// As on a device.
    pub fn stream<'a>(&'a self, _rows: &'a [f32], _dim: usize) -> DeviceRows<'a> {
        match *self {}
    }

    /// As on a device.
    pub fn take_warning(&self) -> Option<String> {
        match *self {}
    }
}

impl DeviceRows<'_> {
    /// As on a device.
    ///
    /// # Errors
    /// Where there is a device, and it fails.
    pub fn nearest(
        &self,
        _centroids: &[f32],
        _out: &mut [Nearest],
        _cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        match *self.0 {}
    }

    /// As on a device.
    ///
    /// # Errors
    /// Where there is a device, and it fails.
    pub fn scan_many(
        &self,
        _queries: &[f32],
        _best: &mut [TopK],
        _cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        match *self.0 {}
    }
}
