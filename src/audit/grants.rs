//! What an account may do, out of rows of `SHOW GRANTS` (pure).

/// Asks of the account that asks.
pub const QUERY: &str = "SHOW GRANTS";

/// Privileges of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<(Box<str>, Vec<Box<str>>)>);

impl Grants {
    /// Reads the rows.
    pub fn read<'a>(rows: impl IntoIterator<Item = &'a str>) -> Self {
        Self(rows.into_iter().filter_map(grant).collect())
    }

    /// Does it have this privilege everywhere?
    pub fn has(&self, privilege: &str) -> bool {
        self.has_on("*.*", privilege)
    }

    /// Does it have this privilege on what is named so, such as `mysql.*`?
    pub fn has_on(&self, target: &str, privilege: &str) -> bool {
        let covers = |on: &str| on == "*.*" || on == target;
        let named = |name: &str| name == privilege || name == "ALL PRIVILEGES" || name == "ALL";
        self.0.iter().any(|(on, privileges)| covers(on) && privileges.iter().any(|name| named(name)))
    }
}

/// `GRANT SELECT, SUPER ON *.* TO ...`; other lines give roles, and what they give is not looked into.
fn grant(row: &str) -> Option<(Box<str>, Vec<Box<str>>)> {
    let (privileges, rest) = row.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (target, _) = rest.split_once(" TO ")?;
    Some((target.replace('`', "").into(), privileges.split(',').map(|name| name.trim().into()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_guide() {
        let grants = Grants::read([
            "GRANT SHOW DATABASES, SUPER ON *.* TO `maxuser`@`%` IDENTIFIED BY PASSWORD '*8DDF ON x TO'",
            "GRANT SELECT ON `mysql`.* TO `maxuser`@`%`",
            "GRANT `watcher` TO `maxuser`@`%`",
        ]);
        assert!(grants.has("SUPER") && grants.has("SHOW DATABASES") && grants.has_on("mysql.*", "SELECT"));
        assert!(!grants.has("SELECT") && !grants.has("RELOAD") && !grants.has_on("shop.*", "SELECT"));
        let all = Grants::read(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
        assert!(all.has("RELOAD") && all.has_on("mysql.*", "SELECT"));
    }
}
