//! One snapshot of all accounts of a cluster (pure): which of them the server would choose.
//!
//! Host names: the server resolves a peer's address to a name unless `skip_name_resolve` is on, and accounts may be written
//! for names. The proxy does no reverse DNS: for a client it knows one name, `localhost`, which the server gives to exactly
//! 127.0.0.1 and ::1 when it resolves; an account written for any other name admits no client here. What nodes call the proxy
//! itself is known without DNS: they say it (`USER()`).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::account::Account;
use super::grants::Grants;
use super::known::Told;
use super::pattern::Origin;

/// What one node said of logins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// It resolves addresses to names (`skip_name_resolve` is off).
    pub resolves: bool,
    /// The name it resolved this proxy to.
    pub proxy: Option<Box<str>>,
    /// It runs statements for each new connection (`init_connect`), which a reset of a kept one does not.
    pub init_connect: bool,
}

/// The snapshot.
#[derive(Debug, Default)]
pub struct Accounts {
    generation: u64,
    tables: Tables,
}

#[derive(Debug, Default, PartialEq)]
struct Tables {
    /// By user name, the most specific host first.
    users: HashMap<Box<str>, Vec<Account>>,
    grants: Grants,
    naming: Naming,
    /// Accounts of which the configuration tells a password, and which are not there.
    strangers: Box<[Box<str>]>,
}

impl Accounts {
    /// Of all rows. Roles among the accounts are no way in. It has no generation yet.
    pub fn new(accounts: Vec<Account>, grants: Grants, naming: Naming) -> Self {
        let mut users: HashMap<Box<str>, Vec<Account>> = HashMap::new();
        for account in accounts.into_iter().filter(|account| !account.is_role) {
            users.entry(account.user.clone()).or_default().push(account);
        }
        users.values_mut().for_each(|of_one| of_one.sort_by(more_specific));
        Self { generation: 0, tables: Tables { users, grants, naming, strangers: Box::default() } }
    }

    /// With the passwords that the configuration tells.
    pub fn knowing(mut self, told: &[Told]) -> Self {
        let mut strangers = Vec::new();
        for Told { user, host, password } in told {
            let mut of_user = self.tables.users.get_mut(user).into_iter().flatten();
            match of_user.find(|account| account.host.text().eq_ignore_ascii_case(host)) {
                Some(account) => account.know(password.clone()),
                None => strangers.push(format!("'{user}'@'{host}'").into()),
            }
        }
        self.tables.strangers = strangers.into();
        self
    }

    /// Those of which the configuration tells a password, and which are not there.
    pub fn strangers(&self) -> &[Box<str>] {
        &self.tables.strangers
    }

    /// Which load this is, from 1; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Numbers the snapshot.
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// May a connection serve one session after the other?
    pub fn keeps_connections(&self) -> bool {
        !self.tables.naming.init_connect
    }

    /// Do both say the same?
    pub fn same_content(&self, other: &Self) -> bool {
        self.tables == other.tables
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.tables.users.values().flatten()
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.tables.users.values().map(Vec::len).sum()
    }

    /// No accounts: nothing is loaded yet.
    pub fn is_empty(&self) -> bool {
        self.tables.users.is_empty()
    }

    /// The account the server would choose for this user (UTF-8) from this address.
    pub fn lookup(&self, user: &[u8], address: IpAddr) -> Option<&Account> {
        self.choose(user, &self.client(address))
    }

    /// Privileges below `*.*`.
    pub(super) fn grants(&self) -> &Grants {
        &self.tables.grants
    }

    /// A client as the server would see it.
    pub(super) fn client(&self, address: IpAddr) -> Origin {
        let exactly = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let local = self.tables.naming.resolves && exactly.contains(&address.to_canonical());
        Origin::new(address, local.then(|| "localhost".into()))
    }

    /// This proxy as nodes see it.
    pub(super) fn proxy(&self, address: IpAddr) -> Origin {
        let named = self.client(address);
        match &self.tables.naming.proxy {
            Some(name) if self.tables.naming.resolves => Origin::new(address, Some(name.clone())),
            _ => named,
        }
    }

    /// The most specific host among those of this name; an account of anybody goes first only if its host is more specific still.
    pub(super) fn choose(&self, user: &[u8], origin: &Origin) -> Option<&Account> {
        let of_name = |name: &str| {
            let mut accounts = self.tables.users.get(name).into_iter().flatten();
            accounts.find(|account| account.host.matches(origin))
        };
        let named = std::str::from_utf8(user).ok().and_then(of_name);
        match (named, of_name("")) {
            (Some(named), Some(anybody)) if anybody.host.rank() < named.host.rank() => Some(anybody),
            (named, anybody) => named.or(anybody),
        }
    }

    /// Is there any account for this origin? If not, the server does not even greet.
    pub(super) fn admits_host(&self, origin: &Origin) -> bool {
        self.tables.users.values().flatten().any(|account| account.host.matches(origin))
    }
}

/// Of equally specific hosts the one that is later in the alphabet comes first, so `localhost` before `127.0.0.1`.
fn more_specific(a: &Account, b: &Account) -> Ordering {
    a.host.rank().cmp(&b.host.rank()).then_with(|| b.host.text().cmp(a.host.text()))
}
