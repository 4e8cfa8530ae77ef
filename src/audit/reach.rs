//! How far back a server's binary log goes, out of its files (pure).

use crate::gtid::Position;

/// Asks for the files. Needs BINLOG MONITOR.
pub const QUERY: &str = "SHOW BINARY LOGS";

/// What a binary log holds begins here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// What comes before its oldest file.
    pub start: Position,
    /// What comes before the next file, if there is one: that is where it begins once the oldest file is thrown away.
    pub next: Option<Position>,
}

/// Asks where each of the two oldest files begins.
pub fn question(files: &[&str]) -> String {
    let starts: Vec<_> = files.iter().take(2).map(|file| format!("BINLOG_GTID_POS('{file}', 4)")).collect();
    format!("SELECT {}", starts.join(", "))
}

impl Reach {
    /// Of the answer to [`question`].
    pub fn read(start: &str, next: Option<&str>) -> Option<Self> {
        let next = next.map(|next| next.parse().ok());
        Some(Self { start: start.parse().ok()?, next: next.flatten() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_files() {
        let all = ["bin.000004", "bin.000005", "bin.000006"];
        assert_eq!(question(&all), "SELECT BINLOG_GTID_POS('bin.000004', 4), BINLOG_GTID_POS('bin.000005', 4)");
        assert_eq!(question(&all[..1]), "SELECT BINLOG_GTID_POS('bin.000004', 4)");
        let reach = Reach::read("", Some("70-7000-9")).unwrap();
        assert!(reach.start.is_empty() && reach.next == Some("70-7000-9".parse().unwrap()));
        assert_eq!(Reach::read("70-7000-9", None).unwrap().next, None);
        assert_eq!(Reach::read("x", None), None);
    }
}
