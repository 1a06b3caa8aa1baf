//! `--device cuda` in the ordinary program: what it checks, and how `thematic-cuda` takes over. The driver is a library
//! made here, `thematic-cuda` a script: no GPU is needed, and none is used.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::program::{Desk, Said};

/// What the fake driver answers is in variables.
const DRIVER: &str = r#"
#include <stdlib.h>
#include <string.h>
static int number(const char *name, int otherwise) { char *text = getenv(name); return text ? atoi(text) : otherwise; }
int cuDriverGetVersion(int *version) { *version = number("FAKE_VERSION", 13000); return 0; }
int cuInit(unsigned flags) { return number("FAKE_INIT", 0); }
int cuDeviceGetCount(int *count) { *count = number("FAKE_COUNT", 2); return 0; }
int cuDeviceGet(int *device, int index) { *device = 40 + index; return 0; }
int cuDeviceGetName(char *name, int room, int device) { strncpy(name, "Imaginary H200", room); return device < 40; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)144384 << 20; return device < 40; }
int cuDeviceGetAttribute(int *value, int which, int device) {
    *value = which == 75 ? number("FAKE_MAJOR", 9) : 0;
    return which != 75 && which != 76;
}
static int contexts;
int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = &contexts;
    contexts++;
    return number("FAKE_RETAIN", 0);
}
int cuDevicePrimaryCtxRelease_v2(int device) { return --contexts == 0 ? 0 : 201; }
int cuCtxSetCurrent(void *context) { return context && context != &contexts; }
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    *free_bytes = (size_t)number("FAKE_FREE_MIB", 143000) << 20;
    *total = (size_t)144384 << 20;
    return 0;
}
int cuGetErrorString(int code, const char **words) {
    *words = "an imaginary error";
    return 0;
}
"#;

/// Says with which arguments it was started, and ends with a code of its own.
const TAKES_OVER: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "thematic VERSION with CUDA"; exit 0; fi
echo "taken over with: $*"
echo "limit: $THEMATIC_THREADS"
cat
exit 42
"#;

/// The folder of the fake driver; `None` where there is no C compiler.
fn driver() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
    let built = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("driver.c");
        fs::write(&source, DRIVER).expect("a file");
        let library = folder.path().join("libcuda.so.1");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        built.is_ok_and(|status| status.success()).then_some(folder)
    });
    if built.is_none() {
        println!("skipped: there is no C compiler `cc` to make a driver with");
    }
    built.as_ref().map(TempDir::path)
}

fn script(desk: &Desk, name: &str, text: &str) -> PathBuf {
    let path = desk.write(name, text.replace("VERSION", env!("CARGO_PKG_VERSION")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}

/// Runs with the fake driver, and `thematic-cuda` where the variable says.
fn run(desk: &Desk, driver: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let program = desk.path("thematic-cuda");
    let (driver, program) = (driver.to_str().expect("a path"), program.to_str().expect("a path"));
    desk.run_with(arguments, &[&[("LD_LIBRARY_PATH", driver), ("THEMATIC_CUDA", program)], variables].concat())
}

const EMBED: &[&str] = &["embed", "absent.jsonl", "--device", "cuda:1,cuda:0"];

#[test]
fn the_other_program_takes_over_with_everything() {
    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    script(&desk, "thematic-cuda", TAKES_OVER);
    let said = run(&desk, driver, &["embed", "a b.jsonl", "--device", "cuda:1"], &[("THEMATIC_THREADS", "3")]);
    insta::assert_snapshot!(said.transcript(), @r"
    exit 42
    --- stdout
    taken over with: embed a b.jsonl --device cuda:1
    limit: 3
    --- stderr
    ");
    let by_variable = run(&desk, driver, &["search", "ice"], &[("THEMATIC_DEVICE", "cuda")]);
    assert_eq!((by_variable.code, by_variable.out.lines().next()), (42, Some("taken over with: search ice")));
}

#[test]
fn commands_that_compare_vectors_hand_over_too() {
    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    script(&desk, "thematic-cuda", TAKES_OVER);
    for command in [&["cluster", "absent.npy", "-k", "3"][..], &["neighbours", "-c", "absent.db"]] {
        let said = run(&desk, driver, &[command, &["--device", "cuda:1"]].concat(), &[]);
        let expected = format!("taken over with: {} --device cuda:1", command.join(" "));
        assert_eq!((said.code, said.out.lines().next()), (42, Some(&*expected)));
        let refused = run(&desk, driver, &[command, &["--device", "cuda:2"]].concat(), &[]);
        assert!(refused.code == 4 && refused.err.contains("cuda:2: there is no such GPU"), "{refused:?}");
        // The processor is asked for nothing that a GPU has: it looks for the file.
        assert_ne!(run(&desk, driver, &[command, &["--device", "cpu"]].concat(), &[]).code, 42);
    }
}

#[test]
fn it_is_found_beside_the_program() {
    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    let program = desk.path("bin/thematic");
    fs::create_dir(desk.path("bin")).expect("a folder");
    fs::copy(env!("CARGO_BIN_EXE_thematic"), &program).expect("a copy");
    let run = || {
        let mut command = Command::new(&program);
        command.args(EMBED).current_dir(desk.path("")).env("LD_LIBRARY_PATH", driver).env_remove("THEMATIC_CUDA");
        command.output().expect("the program runs")
    };
    let missing = run();
    assert_eq!(missing.status.code(), Some(4));
    let said = String::from_utf8_lossy(&missing.stderr).replace(&desk.path("").display().to_string(), "DESK/");
    insta::assert_snapshot!(said, @r"
    error: `DESK/bin/thematic-cuda`: the program that computes on GPUs is not there

    hint: put it beside this program, or name it by THEMATIC_CUDA; it is built with `cargo build --release --features cuda`; `--device cpu` works without it
    ");
    script(&desk, "bin/thematic-cuda", TAKES_OVER);
    assert_eq!(run().status.code(), Some(42));
}

#[test]
fn a_signal_reaches_the_program_that_took_over() {
    use std::os::unix::process::ExitStatusExt;

    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    let waits = TAKES_OVER.replace("exit 42", "echo > started; exec sleep 60");
    let program = script(&desk, "thematic-cuda", &waits);
    let mut command = desk.command(EMBED);
    command.env("LD_LIBRARY_PATH", driver).env("THEMATIC_CUDA", program).stdout(Stdio::null());
    let mut child = command.spawn().expect("runs");
    while !desk.path("started").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert!(child.try_wait().expect("a status").is_none(), "it waits");
    }
    child.kill().expect("a signal");
    assert_eq!(child.wait().expect("an end").signal(), Some(9));
}

/// Runs `EMBED` with variables of the fake driver; whatever is missing is told before anything is read or written.
fn refused(variables: &[(&str, &str)]) -> Option<String> {
    let driver = driver()?;
    let desk = Desk::new();
    script(&desk, "thematic-cuda", TAKES_OVER);
    let said = run(&desk, driver, EMBED, variables);
    assert!(!desk.path("papers.db").exists());
    Some(said.transcript())
}

#[test]
fn a_driver_that_is_too_old_is_refused() {
    let Some(said) = refused(&[("FAKE_VERSION", "12040")]) else { return };
    insta::assert_snapshot!(said);
}

#[test]
fn no_gpu_is_told() {
    let Some(said) = refused(&[("FAKE_INIT", "100")]) else { return };
    insta::assert_snapshot!(said);
    assert_eq!(refused(&[("FAKE_COUNT", "0")]), Some(said));
}

#[test]
fn a_driver_that_fails_is_told_in_its_words() {
    let Some(said) = refused(&[("FAKE_INIT", "803")]) else { return };
    insta::assert_snapshot!(said);
}

#[test]
fn a_gpu_that_does_not_exist_is_refused() {
    let Some(said) = refused(&[("FAKE_COUNT", "1")]) else { return };
    insta::assert_snapshot!(said);
}

#[test]
fn a_gpu_that_is_too_old_is_refused() {
    let Some(said) = refused(&[("FAKE_MAJOR", "7")]) else { return };
    insta::assert_snapshot!(said);
}

#[test]
fn a_gpu_without_free_memory_is_refused() {
    let Some(said) = refused(&[("FAKE_FREE_MIB", "300")]) else { return };
    insta::assert_snapshot!(said);
    let none = refused(&[("FAKE_RETAIN", "2")]).expect("a compiler, as before");
    assert!(none.contains("has only 0 MiB of 144384 MiB free"), "{none}");
}

#[test]
fn the_program_that_takes_over_must_be_there_and_of_this_version() {
    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    let transcript = |name: &str| {
        let said = run(&desk, driver, EMBED, &[]).transcript();
        insta::assert_snapshot!(name, said);
    };
    transcript("named_but_missing");
    script(&desk, "thematic-cuda", "#!/bin/sh\necho thematic 0.0.1 with CUDA\n");
    transcript("of_another_version");
    // A program without CUDA would hand over to itself for ever.
    script(&desk, "thematic-cuda", "#!/bin/sh\necho thematic VERSION\n");
    transcript("without_cuda");
    let broken = "#!/bin/sh\necho 'error while loading shared libraries: libcublas.so.13' >&2\nexit 127\n";
    script(&desk, "thematic-cuda", broken);
    transcript("does_not_start");
    fs::set_permissions(desk.path("thematic-cuda"), fs::Permissions::from_mode(0o644)).expect("permissions");
    transcript("may_not_be_run");
}

#[test]
fn without_a_driver_it_says_how_to_get_one() {
    if Path::new("/proc/driver/nvidia").exists() {
        println!("skipped: this machine has NVIDIA's driver");
        return;
    }
    let desk = Desk::new();
    let said = desk.run(EMBED);
    insta::with_settings!({filters => vec![(r"cannot be loaded \(.*\)", "cannot be loaded (WHY)")]}, {
        insta::assert_snapshot!(said.transcript());
    });
}

#[test]
fn what_is_no_device_is_a_usage_error() {
    let desk = Desk::new();
    let said = desk.run(&["embed", "absent.jsonl", "--device", "cuda:0,cuda:0"]);
    insta::assert_snapshot!(said.transcript());
    assert_eq!(desk.run(&["embed", "absent.jsonl", "--device", "gpu"]).code, 2);
}

#[test]
fn doctor_tells_of_driver_gpus_and_program() {
    let Some(driver) = driver() else { return };
    let desk = Desk::new();
    script(&desk, "thematic-cuda", TAKES_OVER);
    let about_gpus = |said: &Said| {
        let lines =
            said.out.lines().skip_while(|line| !line.contains("  gpu ")).take_while(|line| !line.contains("  model "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let said = run(&desk, driver, &["doctor"], &[]);
    assert_eq!(said.code, 0, "{said:?}");
    insta::assert_snapshot!(about_gpus(&said), @r"
    ok    gpu            NVIDIA's driver brings CUDA 13.0 and finds 2 GPUs
    ok    gpu            cuda:0 (Imaginary H200), 143000 of 144384 MiB free
    ok    gpu            cuda:1 (Imaginary H200), 143000 of 144384 MiB free
    ok    thematic-cuda  DESK/thematic-cuda is of this version
    ");
    fs::remove_file(desk.path("thematic-cuda")).expect("it was there");
    let said = run(&desk, driver, &["doctor"], &[("FAKE_VERSION", "12040")]);
    assert_eq!(said.code, 0, "a GPU is no must: {said:?}");
    insta::assert_snapshot!(about_gpus(&said), @r"
    note  gpu            NVIDIA's driver: is too old: it brings CUDA 12.4, and 13.0 is needed
                         update it to R580 or newer, which `nvidia-smi` shows at its top; `--device cpu` works here
    note  thematic-cuda  `DESK/thematic-cuda`: THEMATIC_CUDA names it, but there is no such file
                         correct the variable, or unset it
    ");
}
