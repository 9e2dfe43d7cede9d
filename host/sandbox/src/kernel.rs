//! The oldest kernel that has all we use.

use std::io;

/// Fails with a clear message on kernels before 5.16, the first with `futex_waitv`.
pub fn require_kernel() -> io::Result<()> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    if version(&release).is_some_and(|version| version < (5, 16)) {
        let message = format!("Linux {release} is too old: wasmproc needs Linux 5.16 or newer");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    Ok(())
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-generic"), Some((6, 18)));
        assert_eq!(version("5.4.0"), Some((5, 4)));
        assert!(version("5.4.0") < version("5.16.0"));
        assert_eq!(version("strange"), None);
    }
}
