//! Sizes and times as people write them: `256MiB`, `1.5s`.

use std::time::Duration;

/// Reads a number of bytes: `4096`, `64KiB`, `1.5GiB`, `10MB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize =
        text.parse().map_err(|_| format!("{text} is no size: write 4096, 64KiB or 1.5GiB"))?;
    match size.as_u64() {
        0 => Err("a size of 0 allows nothing: leave the flag out, or give at least 64KiB".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Reads a time: `1.5s`, `250ms`, `2m`, `1h 30m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no time: write 1.5s, 250ms, 2m or a number of seconds");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// `bytes` for people.
pub fn show_bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// `duration` for people: three digits are enough.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.2} s")
    } else {
        let seconds = seconds.round() as u64;
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_people_write_them() {
        assert_eq!(bytes("256MiB"), Ok(256 << 20));
        assert_eq!(bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn a_minute_has_no_sixtieth_second() {
        assert_eq!(show_duration(Duration::from_millis(119_700)), "2 min 0 s");
        assert_eq!(show_duration(Duration::from_millis(119_400)), "1 min 59 s");
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "lots", "-1", "12XB", "0"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["", "soon", "-1s", "-1", "inf", "NaN"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
