//! Does everything that `wasi:filesystem` offers, once, in the directory that its argument names. Says what each gave.

use std::fmt::Debug;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::StreamError;

const NONE: PathFlags = PathFlags::empty();
const BOTH: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "/".to_owned());
    let folders = get_directories();
    let (folder, _) = folders.iter().find(|(_, guest)| *guest == wanted).expect("it is granted");
    contents(folder);
    names(folder);
    what_is_known(folder);
    entries(folder);
    say("a directory is removed", folder.remove_directory_at("below"));
}

fn open(folder: &Descriptor, name: &str, how: OpenFlags) -> Descriptor {
    folder.open_at(PathFlags::SYMLINK_FOLLOW, name, how, BOTH).expect(name)
}

fn contents(folder: &Descriptor) {
    let file = open(folder, "file", OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
    say("bytes are written", file.write(b"one two three", 0));
    say("bytes are read", file.read(3, 4).map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()));
    let appended = file.append_via_stream().map(|stream| through(stream.blocking_write_and_flush(b" four")));
    say("a stream appends", appended);
    let written = file.write_via_stream(0).map(|stream| through(stream.blocking_write_and_flush(b"ONE")));
    say("a stream writes", written);
    let read = file.read_via_stream(0).map(|stream| through(stream.blocking_read(100)).map(|bytes| bytes.len()));
    say("a stream reads", read);
    say("advice is taken", file.advise(0, 0, Advice::Sequential));
    say("its size is set", file.set_size(8));
    say("it is synchronised", file.sync());
    say("its data are synchronised", file.sync_data());
    say("it is cut off", folder.open_at(NONE, "file", OpenFlags::TRUNCATE, BOTH).map(drop));
}

fn names(folder: &Descriptor) {
    say("a directory is made", folder.create_directory_at("below"));
    say("it gets a second name", folder.link_at(NONE, "file", folder, "second"));
    say("it is renamed", folder.rename_at("second", folder, "below/renamed"));
    say("a symbolic link is made", folder.symlink_at("below/renamed", "link"));
    say("a symbolic link is read", folder.readlink_at("link"));
    say(
        "a file is opened through it",
        folder.open_at(PathFlags::SYMLINK_FOLLOW, "link", OpenFlags::empty(), BOTH).map(drop),
    );
    say("it is not opened itself", folder.open_at(NONE, "link", OpenFlags::empty(), BOTH).map(drop));
    say("what is not there is not opened", folder.open_at(NONE, "nothing", OpenFlags::empty(), BOTH).map(drop));
    say("the link is removed", folder.unlink_file_at("link"));
    say("the second name is removed", folder.unlink_file_at("below/renamed"));
}

fn what_is_known(folder: &Descriptor) {
    let file = open(folder, "file", OpenFlags::empty());
    let below = folder.open_at(NONE, "below", OpenFlags::DIRECTORY, DescriptorFlags::READ).expect("it was made");
    say("its type", file.get_type());
    say("its flags", file.get_flags());
    say("its size", file.stat().map(|stat| stat.size));
    say("its size by name", folder.stat_at(NONE, "file").map(|stat| stat.size));
    say("its time is set", file.set_times(NewTimestamp::NoChange, NewTimestamp::Now));
    say("its time is set by name", folder.set_times_at(NONE, "file", NewTimestamp::Now, NewTimestamp::NoChange));
    say("the directory's time is set", below.set_times(NewTimestamp::Now, NewTimestamp::Now));
    say("the directory is synchronised", below.sync());
    println!("it is itself: {}", file.is_same_object(&file));
    say("its hash is the same by name", file.metadata_hash().map(|hash| Some(hash.lower) == hash_of(folder)));
}

fn hash_of(folder: &Descriptor) -> Option<u64> {
    folder.metadata_hash_at(NONE, "file").ok().map(|hash| hash.lower)
}

fn entries(folder: &Descriptor) {
    let stream = folder.read_directory().expect("it is a directory");
    let mut names: Vec<String> =
        std::iter::from_fn(|| stream.read_directory_entry().ok()?).map(|entry| entry.name).collect();
    names.sort();
    println!("entries: {}", names.join(" "));
}

fn through<T>(result: Result<T, StreamError>) -> Result<T, Option<ErrorCode>> {
    result.map_err(|error| match error {
        StreamError::LastOperationFailed(error) => filesystem_error_code(&error),
        StreamError::Closed => None,
    })
}

fn say<T: Debug>(what: &str, result: Result<T, ErrorCode>) {
    match result {
        Ok(value) => println!("{what}: {value:?}"),
        Err(error) => println!("{what}: refused, {}", error.name()),
    }
}
