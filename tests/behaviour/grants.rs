//! What a guest is granted, and that it gets nothing else.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use wasmproc_test_artifacts::programs;

use crate::harness::{Ended, Scratch, Wasmproc};

/// A folder `granted` with a file `note` and a folder `below`, and a file `secret` beside it.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    scratch.folder("granted/below");
    scratch.write("granted/note", "from the host");
    scratch.write("secret", "secret");
    scratch
}

/// Has `programs::FILES` do something with the folder granted as the flag says.
#[track_caller]
fn files(flags: &[&str], does: &[&str]) -> Ended {
    Wasmproc::run(flags.iter().chain(&[programs::FILES]).chain(does)).output()
}

#[test]
fn variables_are_set_or_passed_on_by_name() {
    let flags = ["--env", "MODE=fast=1", "--env", "PASSED", "--env", "EMPTY=", programs::SHOW];
    let ended = Wasmproc::run(flags).env("PASSED", "on").env("KEPT_BACK", "1").output().expect(0);
    let variables: Vec<String> = ended.lines().into_iter().filter(|line| line.starts_with("variable")).collect();
    assert_eq!(variables, ["variable MODE=fast=1", "variable PASSED=on", "variable EMPTY="]);
}

#[test]
fn without_a_grant_there_are_no_files() {
    for path in ["/", ".", "/etc/passwd", "/proc/self/environ", "/dev/null", "../etc/passwd"] {
        files(&[], &["read", path]).expect(1);
        files(&[], &["list", path]).expect(1);
    }
    files(&[], &["write", "/tmp/x", "x"]).expect(1);
}

#[test]
fn a_granted_directory_can_be_read_and_written() {
    let tree = tree();
    let grant = format!("{}::/data", tree.at("granted"));
    let read = files(&["--dir", &grant], &["read", "/data/note"]).expect(0);
    assert_eq!(read.text(), "from the host\n");
    files(&["--dir", &grant], &["write", "/data/below/new", "from the guest"]).expect(0);
    assert_eq!(fs::read_to_string(tree.at("granted/below/new")).expect("it was written"), "from the guest");
    let listed = files(&["--dir", &grant], &["list", "/data"]).expect(0);
    assert_eq!(listed.text(), "below note\n");
}

#[test]
fn a_directory_keeps_its_own_name_below_the_root() {
    let tree = tree();
    let granted = tree.at("granted");
    files(&["--dir", &granted], &["read", &format!("{granted}/note")]).expect(0);
    for (grant, path) in [(".", "note"), (".", "/note"), ("below/..", "note")] {
        let ended = Wasmproc::run(["--dir", grant, programs::FILES, "read", path]).current_dir(&granted).output();
        // `..` can't be a name in the guest, and is refused with the way out.
        let expected = if grant == "." { 0 } else { 125 };
        ended.expect(expected);
    }
    let relative = Wasmproc::run(["--dir", "granted", programs::FILES, "read", "granted/note"]);
    relative.current_dir(tree.path()).output().expect(0);
}

#[test]
fn a_read_only_directory_stays_as_it_is() {
    let tree = tree();
    let grant = format!("{}::/data:ro", tree.at("granted"));
    files(&["--dir", &grant], &["read", "/data/note"]).expect(0);
    for path in ["/data/note", "/data/new", "/data/below/new"] {
        files(&["--dir", &grant], &["write", path, "overwritten"]).expect(1);
    }
    files(&["--dir", &grant], &["link", "note", "/data/link"]).expect(1);
    assert_eq!(fs::read_to_string(tree.at("granted/note")).expect("it is there"), "from the host");
    assert!(!tree.path().join("granted/new").exists());
}

#[test]
fn nothing_leads_out_of_a_granted_directory() {
    let tree = tree();
    let granted = tree.at("granted");
    symlink(tree.at("secret"), tree.at("granted/absolute")).expect("a link");
    symlink("../secret", tree.at("granted/relative")).expect("a link");
    symlink("/etc", tree.at("granted/below/etc")).expect("a link");
    symlink("note", tree.at("granted/inside")).expect("a link");
    assert_eq!(fs::read_to_string(tree.at("granted/relative")).expect("outside the sandbox it leads out"), "secret");
    let grant = format!("{granted}::/data");
    let ways = [
        "/data/../secret",
        "/data/below/../../secret",
        "/data/absolute",
        "/data/relative",
        "/data/below/etc/passwd",
        "/data/../../../../../../etc/passwd",
        "/secret",
        "/etc/passwd",
    ];
    for way in ways {
        let ended = files(&["--dir", &grant], &["read", way]).expect(1);
        assert!(!ended.text().contains("secret\n") && !ended.text().contains("root:"), "{way}: {ended:?}");
    }
    files(&["--dir", &grant], &["read", "/data/inside"]).expect(0);
    for target in ["../secret", "../../../../../../etc/passwd"] {
        files(&["--dir", &grant], &["link", target, "/data/made"]).expect(1);
        let _ = fs::remove_file(tree.at("granted/made"));
    }
}

#[test]
fn the_private_tmp_is_limited_and_goes_with_the_run() {
    files(&["--tmp"], &["write", "/tmp/of-this-run", "x"]).expect(0);
    let ended = files(&["--tmp=1MiB"], &["fill", "/tmp/of-this-run"]).expect(0);
    let room: u64 = ended.text().split_whitespace().nth(2).and_then(|room| room.parse().ok()).expect("a number");
    assert!((512..=1024).contains(&room), "{ended:?}");
    files(&["--tmp"], &["read", "/tmp/of-this-run"]).expect(1);
    assert!(fs::read_dir("/tmp").expect("readable").all(|entry| entry.expect("readable").file_name() != "of-this-run"));
}

/// The same connection that succeeds here is refused there.
#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the host has one");
    let address = listener.local_addr().expect("it is bound");
    std::net::TcpStream::connect(address).expect("it can be reached from outside the sandbox");
    let ended = Wasmproc::run([programs::CONNECTS, &address.port().to_string()]).output().expect(0);
    assert_eq!(ended.text(), "connect: refused\nlisten: refused\ndatagram: refused\n");
}

#[test]
fn a_component_is_granted_by_name() {
    let grant = format!("numbers={}", programs::NUMBERS);
    let ended = Wasmproc::run(["--component", &grant, programs::USES_NUMBERS]).output().expect(0);
    assert_eq!(ended.text(), "double: 42\nnumbers: one two\nmain: exited with code 0\n");
    let ended = Wasmproc::run([programs::USES_NUMBERS]).output().expect(1);
    assert!(ended.stderr.contains("--component numbers=FILE"), "{ended:?}");
}

#[test]
fn a_grant_through_which_the_cache_can_be_changed_is_told_of() {
    let scratch = Scratch::new();
    let cache = scratch.folder("home/cache/wasmproc");
    symlink(scratch.at("home/cache"), scratch.at("home/link")).expect("a link");
    scratch.folder("home/work");
    let run = |flags: &[&str], grant: &str| {
        Wasmproc::run(flags.iter().chain(&["--dir", grant, programs::SHOW])).cache(&cache).output()
    };
    for granted in ["home", "home/cache", "home/cache/wasmproc", ".", "home/link"] {
        let granted = format!("{}::/data", scratch.at(granted));
        let told = run(&[], &granted).expect(0);
        assert!(told.stderr.contains("change the native code") && told.stderr.contains(":ro"), "{told:?}");
        run(&["--strict"], &granted).expect(125).complains_of(&["--strict", "native code", ":ro"]);
        run(&["--strict"], &format!("{granted}:ro")).expect(0);
    }
    run(&["--strict"], &format!("{}::/data", scratch.at("home/work"))).expect(0);
}

#[test]
fn a_read_only_folder_of_a_writable_one_is_told_of() {
    let tree = tree();
    let (whole, part) = (tree.at("granted"), tree.at("granted/below"));
    let run = |flags: &[&str], outer: &str, inner: &str| {
        Wasmproc::run(flags.iter().chain(&["--dir", outer, "--dir", inner, programs::SHOW])).output()
    };
    let (outer, inner) = (format!("{whole}::/data"), format!("{part}::/data/below:ro"));
    let told = run(&[], &outer, &inner).expect(0);
    assert!(told.stderr.contains("no read-only") && told.stderr.contains("granted/below"), "{told:?}");
    run(&["--strict"], &outer, &inner).expect(125).complains_of(&["--strict", "granted/below"]);
    run(&["--strict"], &format!("{outer}:ro"), &format!("{part}::/data/below")).expect(0);
    run(&["--strict"], &outer, &format!("{part}::/other:ro")).expect(0);
}
