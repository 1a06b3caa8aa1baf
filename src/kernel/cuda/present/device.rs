//! A device with our kernels loaded, and lanes of work on it.
//!
//! What a lane is told to do is done in that order, while the processor goes on; [`Lane::wait`] waits for it. Lanes do
//! not wait for each other, so that one copies while another computes: no array is written by one lane and used by
//! another, but for weights and what `select` compares, which are written once and waited for.

#![expect(unsafe_code, reason = "kernels take pointers, and memory of a device begins unset")]

use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig,
    PinnedHostSlice, ValidAsZeroBits, sys,
};
use cudarc::nvrtc::Ptx;

use super::product::Products;
use super::{Failure, LEAST_CAPABILITY};

/// The kernels, which the driver compiles for the device.
const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

/// A device that computes.
#[derive(Debug, Clone)]
pub struct Device {
    context: Arc<CudaContext>,
    module: Arc<CudaModule>,
}

/// Work in the order in which it is asked for.
#[derive(Debug)]
pub struct Lane {
    pub(super) stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    pub(super) products: Products,
}

/// Numbers on a device. Grows to the largest count it held and is used again.
#[derive(Debug)]
pub struct Array<T> {
    memory: Option<CudaSlice<T>>,
    len: usize,
}

/// Numbers in memory that a device copies without the processor.
#[derive(Debug)]
pub struct Pinned<T> {
    memory: Option<PinnedHostSlice<T>>,
    written_by_processor: bool,
}

impl Device {
    /// Loads the kernels on device `ordinal`.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] where the device is older than the kernels, [`Failure::Driver`] where it does not exist or
    /// does not answer.
    pub fn open(ordinal: usize) -> Result<Self, Failure> {
        let context = CudaContext::new(ordinal)?;
        let (major, minor) = context.compute_capability()?;
        let capability = (major.unsigned_abs(), minor.unsigned_abs());
        if capability < LEAST_CAPABILITY {
            let (least, of_least) = LEAST_CAPABILITY;
            let cause = format!("it has compute capability {major}.{minor}, less than {least}.{of_least}");
            return Err(Failure::Unsupported(cause));
        }
        // A thread that waits for the device leaves its core to the tokenizers.
        context.set_blocking_synchronize()?;
        // SAFETY: every array is used on the lane that made it, but for weights and the matrices of `select`, which
        // `Lane::upload` waits for before anybody else sees them, and which outlive their use: a lane waits before it is
        // dropped, and at the end of every block that it compares.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(KERNELS))?;
        Ok(Self { context, module })
    }

    /// Bytes that nothing has taken.
    ///
    /// # Errors
    /// [`Failure::Driver`] where the device does not answer.
    pub fn free_memory(&self) -> Result<usize, Failure> {
        Ok(self.context.mem_get_info()?.0)
    }

    /// A new lane.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where there is no room for what products need beside.
    pub fn lane(&self) -> Result<Lane, Failure> {
        let stream = self.context.new_stream()?;
        Ok(Lane { products: Products::new(&stream)?, stream, module: self.module.clone() })
    }
}

impl Lane {
    /// Waits until everything is done.
    ///
    /// # Errors
    /// [`Failure::Driver`] where something that was asked for before failed.
    pub fn wait(&self) -> Result<(), Failure> {
        Ok(self.stream.synchronize()?)
    }

    /// Copies numbers to the device, and waits until they are there.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] where they do not fit.
    pub fn upload<T: DeviceRepr + ValidAsZeroBits>(&self, numbers: &[T]) -> Result<Array<T>, Failure> {
        let mut array = Array::new();
        self.write(numbers, &mut array)?;
        self.wait()?;
        Ok(array)
    }

    /// Begins to copy numbers to `array`, which takes their count. They may be changed at once: what is not pinned is
    /// copied aside first.
    pub(super) fn write<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        numbers: &[T],
        array: &mut Array<T>,
    ) -> Result<(), Failure> {
        let memory = array.resize(self, numbers.len())?;
        if !numbers.is_empty() {
            self.stream.memcpy_htod(numbers, memory)?;
        }
        Ok(())
    }

    /// Begins to copy the first `len` pinned numbers to `array`, which takes that length.
    pub(super) fn send<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        from: &mut Pinned<T>,
        len: usize,
        array: &mut Array<T>,
    ) -> Result<(), Failure> {
        let numbers = &from.numbers(self, len)?[..len];
        self.stream.memcpy_htod(numbers, array.resize(self, len)?)?;
        Ok(())
    }

    /// Copies an array from the device, waiting for all that was asked for before.
    ///
    /// # Errors
    /// [`Failure::Driver`] where something that was asked for before failed.
    pub fn fetch<T: DeviceRepr + ValidAsZeroBits + Clone>(
        &self,
        array: &Array<T>,
        through: &mut Pinned<T>,
    ) -> Result<Vec<T>, Failure> {
        let Some(memory) = &array.memory else { return Ok(Vec::new()) };
        let numbers = &mut through.numbers(self, array.len)?[..array.len];
        self.stream.memcpy_dtoh(&memory.slice(..array.len), numbers)?;
        self.wait()?;
        Ok(numbers.to_vec())
    }

    pub(super) fn kernel(&self, name: &str) -> Result<CudaFunction, Failure> {
        Ok(self.module.load_function(name)?)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // What is still under way uses weights that may be freed next; there is nobody left to tell of its failure.
        let _ = self.stream.synchronize();
    }
}

/// Launches a kernel with the arguments it was given.
///
/// # Safety
/// The arguments are those of the kernel, in its order and of its types, and every array has as many numbers as the
/// kernel reads and writes for them and for the grid.
pub(super) unsafe fn launch(mut arguments: LaunchArgs<'_>, grid: [usize; 2], threads: u32) -> Result<(), Failure> {
    let [columns, rows] = grid.map(u32::try_from);
    let (Ok(columns), Ok(rows)) = (columns, rows) else {
        return Err(Failure::Driver(format!("a grid of {grid:?} blocks is larger than a device takes")));
    };
    if columns == 0 || rows == 0 {
        return Ok(());
    }
    let config = LaunchConfig { grid_dim: (columns, rows, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the caller's promise is what this asks for.
    unsafe { arguments.launch(config) }?;
    Ok(())
}

impl<T: DeviceRepr + ValidAsZeroBits> Array<T> {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self { memory: None, len: 0 }
    }

    /// Count of numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes another length. Where that needs new memory, the numbers are lost and zeros come in their place.
    pub(super) fn resize(&mut self, lane: &Lane, len: usize) -> Result<&mut CudaSlice<T>, Failure> {
        self.len = 0;
        let enough = self.memory.take_if(|memory| memory.len() >= len.max(1));
        // What is too small is freed before what is large enough is asked for.
        self.memory = None;
        let memory = match enough {
            Some(memory) => memory,
            None => lane.stream.alloc_zeros(len.max(1))?,
        };
        self.len = len;
        Ok(self.memory.insert(memory))
    }

    pub(super) fn whole(&self) -> CudaView<'_, T> {
        self.part(0, self.len)
    }

    pub(super) fn part(&self, first: usize, len: usize) -> CudaView<'_, T> {
        assert!(first + len <= self.len, "a part beyond the end of an array");
        match &self.memory {
            Some(memory) => memory.slice(first..first + len),
            None => unreachable!("an array is given memory before it is used"),
        }
    }
}

impl<T: DeviceRepr + ValidAsZeroBits> Default for Array<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DeviceRepr + ValidAsZeroBits> Pinned<T> {
    /// For what the processor writes and the device reads: such memory bypasses the processor's caches.
    pub fn to_device() -> Self {
        Self { memory: None, written_by_processor: true }
    }

    /// For what the device writes and the processor reads.
    pub fn from_device() -> Self {
        Self { memory: None, written_by_processor: false }
    }

    /// At least `len` numbers; those written before are kept only where they were enough.
    pub(super) fn numbers(&mut self, lane: &Lane, len: usize) -> Result<&mut [T], Failure> {
        let enough = self.memory.take_if(|memory| memory.len() >= len.max(1));
        let mut memory = match enough {
            Some(memory) => memory,
            None => {
                let flags = if self.written_by_processor { sys::CU_MEMHOSTALLOC_WRITECOMBINED } else { 0 };
                // SAFETY: the type says that all zeros are a number, and zeros are written before anybody reads.
                let mut memory = unsafe { lane.stream.context().alloc_pinned_with_flags(len.max(1), flags) }?;
                // SAFETY: as long as was asked for, and nobody else has it.
                unsafe { std::ptr::write_bytes::<T>(memory.as_mut_ptr()?, 0, len.max(1)) };
                memory
            }
        };
        let _ = memory.as_mut_ptr()?;
        Ok(self.memory.insert(memory).as_mut_slice()?)
    }
}
