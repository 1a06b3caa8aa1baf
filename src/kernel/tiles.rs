//! AMX tiles: permission, configuration, and the guard that holds them.
//!
//! The standard library's intrinsics for tiles are not stable, so instructions are written as inline assembly with
//! literal registers: the compiler never touches a tile register, and what is left in one survives until the next block.

#![expect(unsafe_code, reason = "tile registers are reached by inline assembly only")]

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::marker::PhantomData;

use half::bf16;

use super::Isa;
use super::operand::{SIDE, STEP};
use super::simd::Simd;
use super::square::{Factors, Half, Kept, Meanwhile, Square, Unit};

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 16;
/// Bytes in a row of a tile.
pub(super) const TILE_ROW_BYTES: usize = 64;

/// Whether the processor multiplies tiles of bf16 and the operating system keeps them across a task switch.
pub(super) fn processor_has_bf16_tiles() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const OSXSAVE: u32 = 1 << 27;
    // Both halves of the tile state: configuration and data.
    const TILE_STATE: u64 = 0b11 << 17;
    if __cpuid_count(0, 0).eax < 7 || __cpuid_count(1, 0).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: OSXSAVE, just checked, says that XGETBV may be executed, and every processor that has it has XSAVE.
    let enabled = unsafe { enabled_state() };
    let features = __cpuid_count(7, 0).edx;
    features & AMX_BF16 != 0 && features & AMX_TILE != 0 && enabled & TILE_STATE == TILE_STATE
}

/// # Safety
/// The processor must have XSAVE and the operating system must have enabled it.
#[target_feature(enable = "xsave")]
unsafe fn enabled_state() -> u64 {
    // SAFETY: the caller vouches for XSAVE; register 0 always exists.
    unsafe { _xgetbv(0) }
}

/// Asks Linux to let this process, with all its threads to come, use tile data. Elsewhere nobody can be asked.
pub(super) fn ask_permission() -> bool {
    #[cfg(target_os = "linux")]
    {
        const SYS_ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let answer: i64;
        // SAFETY: this system call reads no memory of ours; the kernel clobbers rcx and r11 and nothing else.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") SYS_ARCH_PRCTL => answer,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        answer == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight full tiles, configured for this thread until dropped.
///
/// Tiles belong to a thread, so the guard cannot leave it. While tiles are in use every task switch saves 8 KiB more,
/// which is why they are released at the end of a batch.
#[derive(Debug)]
pub(super) struct Tiles {
    stays_on_thread: PhantomData<*mut ()>,
}

impl Tiles {
    /// Configures the tiles of this thread, a matter of nanoseconds; none where `isa` has no tiles.
    pub(super) fn configure(isa: Isa) -> Option<Self> {
        if !isa.has_tiles() {
            return None;
        }
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(TILE_ROW_BYTES as u16);
        configuration.rows[..8].fill(TILE_ROWS as u8);
        // SAFETY: `isa` was detected, so tiles exist and are permitted; the configuration is 64 bytes of palette 1.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
        Some(Self { stays_on_thread: PhantomData })
    }
}

/// Adds the products of 32 rows and 32 columns over 32 inputs; each side is loaded by the instruction named after it.
macro_rules! add_step {
    ($tiles:ident, $rows:ident $load_rows:literal, $columns:ident $load_columns:literal) => {{
        let _configured: &Tiles = $tiles;
        let (rows, columns): (&[bf16; STEP], &[bf16; STEP]) = ($rows, $columns);
        // SAFETY: the guard proves configured tiles of 16 rows of 64 bytes; each load reads 1024 bytes, two loads a side,
        // and both sides hold 2048.
        unsafe {
            asm!(
                concat!($load_rows, " tmm4, [{rows} + {stride}]"),
                concat!($load_columns, " tmm6, [{columns} + {stride}]"),
                "tdpbf16ps tmm0, tmm4, tmm6",
                concat!($load_columns, " tmm7, [{columns} + {stride} + 1024]"),
                "tdpbf16ps tmm1, tmm4, tmm7",
                concat!($load_rows, " tmm5, [{rows} + {stride} + 1024]"),
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                rows = in(reg) rows.as_ptr(),
                columns = in(reg) columns.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }};
}

/// A square of 32 by 32 sums lives in tiles 0 to 3, as `[[0, 1], [2, 3]]`; 4 and 5 take rows, 6 and 7 columns.
impl Tiles {
    /// Sets the square of sums to zero.
    #[inline(always)]
    pub(super) fn clear(&self) {
        // SAFETY: the guard proves that tiles are configured.
        unsafe {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nomem, nostack));
        }
    }

    /// Adds the products of 32 rows and 32 columns over 32 inputs; of up to sixteen rows those of the first sixteen. What is not
    /// `kept` is read past the first cache, so that it does not drive out what is.
    #[inline(always)]
    pub(super) fn add_products(&self, rows: &[bf16; STEP], columns: &[bf16; STEP], n_rows: usize, kept: Kept) {
        match kept {
            _ if n_rows <= SIDE / 2 => self.add_upper_step(rows, columns),
            Kept::Both => add_step!(self, rows "tileloadd", columns "tileloadd"),
            Kept::Rows => add_step!(self, rows "tileloadd", columns "tileloaddt1"),
            Kept::Columns => add_step!(self, rows "tileloaddt1", columns "tileloadd"),
            Kept::Neither => add_step!(self, rows "tileloaddt1", columns "tileloaddt1"),
        }
    }

    /// Adds the products of the first sixteen of 32 rows.
    #[inline(always)]
    fn add_upper_step(&self, rows: &[bf16; STEP], columns: &[bf16; STEP]) {
        // SAFETY: the guard proves configured tiles of 16 rows of 64 bytes; each load reads 1024 bytes, one of rows, two of
        // columns, and both hold 2048.
        unsafe {
            asm!(
                "tileloadd tmm4, [{rows} + {stride}]",
                "tileloadd tmm6, [{columns} + {stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{columns} + {stride} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                rows = in(reg) rows.as_ptr(),
                columns = in(reg) columns.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }

    /// Writes the square of sums.
    #[inline(always)]
    pub(super) fn store(&self, sums: &mut [[f32; SIDE]; SIDE]) {
        // SAFETY: the guard proves configured tiles; rows of the square are 128 bytes apart, and the four tiles begin
        // at its corners, at 0, 64, 16 * 128 and 16 * 128 + 64 bytes.
        unsafe {
            asm!(
                "tilestored [{sums} + {stride}], tmm0",
                "tilestored [{sums} + {stride} + 64], tmm1",
                "tilestored [{sums} + {stride} + 2048], tmm2",
                "tilestored [{sums} + {stride} + 2112], tmm3",
                sums = in(reg) sums.as_mut_ptr(),
                stride = in(reg) SIDE * size_of::<f32>(),
                options(nostack),
            );
        }
    }
}

/// Adds the products of the weights taken and one tile of values to a tile of the context.
macro_rules! add_weighted {
    ($values:ident, $context:literal) => {{
        let values: &[bf16; STEP / 2] = $values;
        // SAFETY: the guard, in whose method this stands, proves configured tiles of 16 rows of 64 bytes; the load reads the
        // 1024 bytes of the values.
        unsafe {
            asm!(
                "tileloadd tmm7, [{values} + {stride}]",
                concat!("tdpbf16ps ", $context, ", tmm6, tmm7"),
                values = in(reg) values.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }};
}

/// Attention of sixteen queries: the context of the first 32 dimensions is summed up in tiles 0 and 1, of the others in 2 and 3, the
/// sums of the weights in 4, and scores in 5; 6 takes queries and weights, 7 keys and values.
impl Tiles {
    /// Forgets what was summed up.
    #[inline(always)]
    pub(super) fn clear_weighted(&self) {
        // SAFETY: the guard proves that tiles are configured.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "tilezero tmm4",
                options(nomem, nostack)
            );
        }
    }

    /// Forgets the scores.
    #[inline(always)]
    pub(super) fn clear_scores(&self) {
        // SAFETY: the guard proves that tiles are configured.
        unsafe { asm!("tilezero tmm5", options(nomem, nostack)) };
    }

    /// Adds the products of sixteen queries and one half of 32 keys, of 32 dimensions.
    #[inline(always)]
    pub(super) fn add_scores(&self, queries: &[bf16; STEP / 2], keys: &[bf16; STEP], half: Half) {
        let keys: &[bf16; STEP / 2] = &keys.as_chunks().0[half as usize];
        // SAFETY: the guard proves configured tiles of 16 rows of 64 bytes; each load reads the 1024 bytes of one side.
        unsafe {
            asm!(
                "tileloadd tmm6, [{queries} + {stride}]",
                "tileloadd tmm7, [{keys} + {stride}]",
                "tdpbf16ps tmm5, tmm6, tmm7",
                queries = in(reg) queries.as_ptr(),
                keys = in(reg) keys.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }

    /// Writes the scores as those of one half of the keys.
    #[inline(always)]
    pub(super) fn store_scores(&self, scores: &mut [[f32; SIDE]; TILE_ROWS], half: Half) {
        let scores = scores.as_flattened_mut()[half as usize * SIDE / 2..].as_mut_ptr();
        // SAFETY: the guard proves configured tiles; the store fills one half of sixteen rows of 128 bytes.
        unsafe {
            asm!(
                "tilestored [{scores} + {row}], tmm5",
                scores = in(reg) scores,
                row = in(reg) SIDE * size_of::<f32>(),
                options(nostack),
            );
        }
    }

    /// Takes the weights of 32 keys for sixteen queries.
    #[inline(always)]
    pub(super) fn take_weights(&self, weights: &[bf16; STEP / 2]) {
        // SAFETY: the guard proves configured tiles of 16 rows of 64 bytes; the load reads the 1024 bytes of the weights.
        unsafe {
            asm!(
                "tileloadd tmm6, [{weights} + {stride}]",
                weights = in(reg) weights.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }

    /// Adds the products of the weights taken and one half of a step of 32 values: of the first 32 dimensions or of the others.
    #[inline(always)]
    pub(super) fn add_weighted(&self, values: &[bf16; STEP], step: usize, half: Half) {
        let values = &values.as_chunks().0[half as usize];
        match (step, half) {
            (0, Half::Left) => add_weighted!(values, "tmm0"),
            (0, Half::Right) => add_weighted!(values, "tmm1"),
            (_, Half::Left) => add_weighted!(values, "tmm2"),
            (_, Half::Right) => add_weighted!(values, "tmm3"),
        }
    }

    /// Adds the products of the weights taken and `ones`, sixteen columns alike.
    #[inline(always)]
    pub(super) fn add_weights(&self, ones: &[bf16; STEP / 2]) {
        // SAFETY: the guard proves configured tiles of 16 rows of 64 bytes; the load reads the 1024 bytes of the ones.
        unsafe {
            asm!(
                "tileloadd tmm7, [{ones} + {stride}]",
                "tdpbf16ps tmm4, tmm6, tmm7",
                ones = in(reg) ones.as_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack, readonly),
            );
        }
    }

    /// Writes the context of the queries, of the first 32 dimensions and of the others, and sixteen times the sum of each one's
    /// weights.
    #[inline(always)]
    pub(super) fn store_weighted(
        &self,
        [first, others]: &mut [[[f32; SIDE]; TILE_ROWS]; 2],
        sums: &mut [[f32; TILE_ROWS]; TILE_ROWS],
    ) {
        // SAFETY: the guard proves configured tiles; two stores each fill both halves of sixteen rows of 128 bytes, the last one
        // sixteen rows of 64.
        unsafe {
            asm!(
                "tilestored [{first} + {row}], tmm0",
                "tilestored [{first} + {row} + 64], tmm1",
                "tilestored [{others} + {row}], tmm2",
                "tilestored [{others} + {row} + 64], tmm3",
                "tilestored [{sums} + {stride}], tmm4",
                first = in(reg) first.as_mut_ptr(),
                others = in(reg) others.as_mut_ptr(),
                row = in(reg) SIDE * size_of::<f32>(),
                sums = in(reg) sums.as_mut_ptr(),
                stride = in(reg) TILE_ROW_BYTES,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the guard was made by `configure`, so the instruction exists.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

impl Unit for Tiles {
    #[inline(always)]
    fn square<S: Simd>(
        &self,
        simd: S,
        factors: Factors<'_>,
        n_rows: usize,
        sums: &mut Square,
        meanwhile: &mut impl Meanwhile,
    ) {
        let Factors { rows, columns, next_columns: next, kept } = factors;
        assert_eq!(rows.len(), columns.len(), "as many steps of rows as of columns");
        self.clear();
        // So few rows use their columns once: these come as fast as they can.
        let next = if n_rows > SIDE / 2 { next } else { &[] };
        let mut next = next.as_chunks::<SIDE>().0.chunks((next.len() / SIDE).div_ceil(rows.len() / STEP).max(1));
        for (rows, columns) in rows.as_chunks().0.iter().zip(columns.as_chunks().0) {
            for line in next.next().unwrap_or_default() {
                simd.prefetch_to_second(line.as_ptr());
            }
            self.add_products(rows, columns, n_rows, kept);
            meanwhile.share(simd);
        }
        self.store(&mut sums.0);
    }
}
