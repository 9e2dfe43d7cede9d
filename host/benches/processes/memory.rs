//! Private memory of processes that wait. Reading another process's needs root.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::{programs, table};

pub(crate) fn measure() {
    for count in [100, 1000] {
        let mut rows = vec![("wasmproc, a waiting worker", wasmproc(count))];
        if count == 100 {
            rows.push(("Python multiprocessing, fork", python("fork", count)));
            rows.push(("Python multiprocessing, forkserver", python("forkserver", count)));
            rows.push(("Python multiprocessing, spawn", python("spawn", count)));
        }
        table::print(&format!("private memory of each of {count} waiting processes"), &rows, "KiB");
    }
}

/// Starts a program that prints a line when all its children wait, and measures them.
fn children_of(command: &mut Command, of: impl Fn(&str) -> Vec<u32>) -> f64 {
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("the command starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it prints");
    let sizes: Vec<f64> = of(&line).into_iter().filter_map(private_kib).collect();
    assert!(!sizes.is_empty(), "nothing could be measured: run this as root; it printed {line}");
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    // It ends when its standard input does.
    drop(child.stdin.take());
    let _ = child.wait();
    mean
}

fn wasmproc(count: usize) -> f64 {
    let program = wasmproc_test_artifacts::programs::BENCH_WAITING;
    let mut command = Command::new(programs::wasmproc());
    command.args(["run", "--max-processes", "2000", program, &count.to_string()]);
    children_of(&mut command, |_| named("wasmproc-worker"))
}

fn python(method: &str, count: usize) -> f64 {
    let script = format!(
        "import multiprocessing as m, sys, time\n\
         def f(e): e.wait()\n\
         if __name__ == '__main__':\n\
         \x20   c = m.get_context('{method}')\n\
         \x20   e = c.Event()\n\
         \x20   ps = [c.Process(target=f, args=(e,)) for _ in range({count})]\n\
         \x20   [p.start() for p in ps]\n\
         \x20   time.sleep(3)\n\
         \x20   print('pids', *[p.pid for p in ps], flush=True)\n\
         \x20   sys.stdin.read(); e.set(); [p.join() for p in ps]\n"
    );
    let file = std::env::temp_dir().join(format!("wasmproc-bench-memory-{}.py", std::process::id()));
    fs::write(&file, script).expect("the temporary folder can be written to");
    let size = children_of(Command::new(programs::python()).arg(&file), |line| {
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    });
    let _ = fs::remove_file(&file);
    size
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn named(name: &str) -> Vec<u32> {
    let is = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    pids().filter(is).collect()
}

fn private_kib(pid: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    Some(rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(field).sum())
}
