//! The data folder from which every server starts: made once a machine, user and server version, then copied.
//!
//! It holds the system tables and the accounts. The accounts are written before any server runs, so they are in no binary log
//! and every lab begins with empty GTID positions.

use std::fs::{File, create_dir_all, metadata, read_to_string, remove_dir_all, rename, write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use super::LabError;
use super::process::MARIADBD;
use super::userland::Userland;

/// A finished template.
pub(super) struct Template {
    folder: PathBuf,
    /// The system user servers run as.
    pub(super) user: String,
}

impl Template {
    /// The template in `base`; made if it isn't there, while others wait.
    pub(super) fn ready(base: &Path, userland: &Userland) -> Result<Self, LabError> {
        let (user, version) = (server_user()?, server_version(userland)?);
        let (folder, sql) = (base.join(format!("template-{version}")), accounts(&user, &version));
        let lock = base.join("template.lock");
        let lock = File::create(&lock).map_err(LabError::path("create", &lock))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| LabError::io("lock the template")(e.into()))?;
        // The accounts it was made with lie beside it: other accounts in a newer program need a new template.
        let made_with = base.join(format!("template-{version}.sql"));
        if !folder.is_dir() || read_to_string(&made_with).ok().as_ref() != Some(&sql) {
            write(&made_with, &sql).map_err(LabError::path("write", &made_with))?;
            install(userland, &folder, &made_with, &user)?;
        }
        Ok(Self { folder, user })
    }

    /// The owner of its files, as numbers.
    pub(super) fn owner(&self) -> Result<(u32, u32), LabError> {
        let found = metadata(self.folder.join("mysql")).map_err(LabError::path("look at", &self.folder))?;
        Ok((found.uid(), found.gid()))
    }

    /// Copies it with its owner and holes.
    pub(super) fn copy(&self, to: &Path) -> Result<(), LabError> {
        run(Command::new("cp").args(["-a", "--sparse=always", "--reflink=auto"]).arg(&self.folder).arg(to), "coreutils")
    }
}

fn install(userland: &Userland, folder: &Path, accounts: &Path, user: &str) -> Result<(), LabError> {
    let draft = folder.with_file_name("template.draft");
    for old in [&draft, folder] {
        if old.is_dir() {
            remove_dir_all(old).map_err(LabError::path("remove", old))?;
        }
    }
    create_dir_all(&draft).map_err(LabError::path("create", &draft))?;
    let mut install = userland.command("mariadb-install-db");
    install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
    install.args(["--innodb-log-file-size=32M", "--skip-name-resolve"]);
    install.arg(format!("--user={user}")).arg(format!("--datadir={}", draft.display()));
    install.arg(format!("--extra-file={}", accounts.display()));
    run(&mut install, "mariadb-server")?;
    rename(&draft, folder).map_err(LabError::path("rename", &draft))
}

/// The guide's accounts with the guide's grants, two more for the service user to find out what has happened, its state transfer account, and the application's.
fn accounts(user: &str, version: &str) -> String {
    let more = if version.starts_with("10.") { "" } else { NOT_IN_SUPER };
    ACCOUNTS.replace("OWNER", user) + more
}

/// The installer runs without accounts until the first line has been read.
const ACCOUNTS: &str = "\
FLUSH PRIVILEGES;
CREATE USER maxuser@'%' IDENTIFIED BY 'SecretP@ssw0rd';
GRANT SELECT ON mysql.* TO maxuser@'%';
GRANT SHOW DATABASES ON *.* TO maxuser@'%';
GRANT SUPER ON *.* TO maxuser@'%';
GRANT REPLICATION SLAVE, REFERENCES ON *.* TO maxuser@'%';
CREATE USER repl_user@'%' IDENTIFIED BY 'SecretP@ssw0rd';
GRANT REPLICATION SLAVE ON *.* TO repl_user@'%';
CREATE USER IF NOT EXISTS `OWNER`@localhost IDENTIFIED VIA unix_socket;
GRANT RELOAD, PROCESS, LOCK TABLES, REPLICATION CLIENT ON *.* TO `OWNER`@localhost;
CREATE USER app@'%' IDENTIFIED BY 'app-secret';
GRANT ALL ON *.* TO app@'%' WITH GRANT OPTION;
";

/// Before 11.0 the guide's SUPER held all this.
const NOT_IN_SUPER: &str = "GRANT CONNECTION ADMIN, REPLICATION SLAVE ADMIN, SLAVE MONITOR ON *.* TO maxuser@'%';\n";

/// Servers refuse to run as root by default and drop to `mysql`, as the package does; anybody else runs them as himself.
fn server_user() -> Result<String, LabError> {
    let name = output(Command::new("id").arg("-un"), "coreutils")?;
    Ok(if name == "root" { "mysql".into() } else { name })
}

/// Such as `10.11.19-MariaDB-0+deb12u1`.
fn server_version(userland: &Userland) -> Result<String, LabError> {
    let line = output(userland.command(MARIADBD).args(["--no-defaults", "--version"]), "mariadb-server")?;
    Ok(line.split_whitespace().skip_while(|&word| word != "Ver").nth(1).unwrap_or("unknown").to_owned())
}

fn output(command: &mut Command, package: &'static str) -> Result<String, LabError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LabError::Missing { what: program.clone(), package },
        _ => LabError::Io { what: format!("run {program}"), source },
    })?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(LabError::Refused(format!("{program} failed:\n{}", String::from_utf8_lossy(&said).trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command, package: &'static str) -> Result<(), LabError> {
    output(command, package).map(drop)
}
