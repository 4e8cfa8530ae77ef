//! Privileges below `*.*`, and roles (pure): which schemas somebody may enter, and whether two origins have the same rights.
//!
//! Knows grantees by name and the host part of each grant, no passwords. The server applies a grant to everybody of that
//! user name whom the *grant's* host admits, whichever account let him in; and a grant to anybody (user '') on a schema to
//! everybody its host admits. Source of facts: MariaDB 10.11 `sql/sql_acl.cc` (`acl_get`, `find_by_username_or_anon`,
//! `check_grant_db`, `check_user_can_set_role`).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::account::Account;
use super::pattern::{HostPattern, Origin, Rank, SCHEMA_CHARS_MAX, rank, wild_match};

/// The role everybody has (10.11 and later).
const PUBLIC: &str = "PUBLIC";

/// What a grant is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `mysql.db`: the schema is a pattern.
    Schema,
    /// `mysql.tables_priv`.
    Table,
    /// `mysql.columns_priv`: by itself opens no schema, the server goes by the table's row.
    Column,
    /// `mysql.procs_priv`.
    Routine,
}

/// One row of the grant tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it is on.
    pub scope: Scope,
    /// Where from; a role's grants have `%` here.
    pub host: HostPattern,
    /// A schema, or a pattern of schemas.
    pub schema: Box<str>,
    /// Table, column or routine; empty for a schema.
    pub object: Box<str>,
    /// The privileges as the table has them: on a schema `Y` or `N` for each, else names. None is meant by an empty one.
    pub privileges: Box<str>,
}

impl Grant {
    /// The order in which the server looks: the first that matches counts.
    fn order(&self) -> (Scope, Rank, Rank, &str, &str) {
        let schema = if self.scope == Scope::Schema { rank(self.schema.as_bytes(), SCHEMA_CHARS_MAX) } else { [0; 4] };
        (self.scope, self.host.rank(), schema, &self.schema, &self.object)
    }

    fn is_about(&self, schema: &str) -> bool {
        match self.scope {
            Scope::Schema => wild_match(self.schema.as_bytes(), schema.as_bytes(), false),
            Scope::Table | Scope::Routine => *self.schema == *schema,
            Scope::Column => false,
        }
    }
}

/// A grantee's part: of a user name (all its hosts) or of a role.
#[derive(Debug, Default, PartialEq)]
struct Holding {
    grants: Vec<Grant>,
    /// Roles granted, and to which of its hosts.
    roles: Vec<(HostPattern, Box<str>)>,
}

/// All grants and roles of a cluster.
#[derive(Debug, Default, PartialEq)]
pub struct Grants {
    users: HashMap<Box<str>, Holding>,
    /// Role name to its privileges on `*.*` and its part.
    roles: HashMap<Box<str>, (u64, Holding)>,
    fold_schemas: bool,
}

/// Somebody who is in: an account and where he came from.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The account that let him in.
    pub account: &'a Account,
    /// Where he came from.
    pub origin: &'a Origin,
}

impl Grants {
    /// No grants yet. `fold_schemas`: the server keeps schema names in lower case (`lower_case_table_names` is not 0).
    pub fn new(fold_schemas: bool) -> Self {
        Self { fold_schemas, ..Self::default() }
    }

    /// A role exists; `access` are its privileges on `*.*`. Roles come before what is granted to them.
    pub fn add_role(&mut self, name: Box<str>, access: u64) {
        self.roles.entry(name).or_default().0 = access;
    }

    /// A row of a grant table. `host` is empty for a role.
    pub fn add_grant(&mut self, grantee: Box<str>, host: &str, mut grant: Grant) {
        grant.schema = self.schema_name(&grant.schema).into();
        self.holding(grantee, host).grants.push(grant);
    }

    /// A row of `mysql.roles_mapping`. `host` is empty for a role; a row for a role that isn't there counts for nothing.
    pub fn add_membership(&mut self, grantee: Box<str>, host: &str, role: Box<str>) {
        if host.is_empty() && !self.roles.contains_key(&grantee) {
            return;
        }
        self.holding(grantee, host).roles.push((HostPattern::new(host), role));
    }

    fn holding(&mut self, grantee: Box<str>, host: &str) -> &mut Holding {
        if host.is_empty() && self.roles.contains_key(&grantee) {
            return &mut self.roles.entry(grantee).or_default().1;
        }
        self.users.entry(grantee).or_default()
    }

    /// The name the server means by this one.
    pub fn schema_name<'a>(&self, schema: &'a str) -> Cow<'a, str> {
        if self.fold_schemas { schema.to_lowercase().into() } else { schema.into() }
    }

    /// May he make this schema (from [`Self::schema_name`]) his default? Says nothing of whether it exists.
    pub fn may_use_schema(&self, visitor: Visitor, schema: &str) -> bool {
        if schema.eq_ignore_ascii_case("information_schema") {
            return true;
        }
        let roles: Vec<_> = self.roles_on_entry(visitor).into_iter().filter_map(|role| self.roles.get(role)).collect();
        let access = roles.iter().fold(visitor.account.access, |sum, role| sum | role.0);
        Account::enters_any_schema(access)
            || open(self.grants_of(visitor), schema)
            || roles.iter().any(|role| open(role.1.grants.iter(), schema))
    }

    /// Do two visitors have the same rights? Only then may one stand for the other.
    pub fn same_rights(&self, a: Visitor, b: Visitor) -> bool {
        let own = |v: Visitor| (v.account.user.clone(), v.account.access, v.account.default_role.clone());
        own(a) == own(b) && self.roles_of(a) == self.roles_of(b) && self.effective(a) == self.effective(b)
    }

    /// The grants that apply to him, in the server's order, without those that are never reached.
    fn effective<'a>(&'a self, visitor: Visitor<'a>) -> Vec<(Scope, &'a str, &'a str, &'a str)> {
        let mut grants: Vec<&Grant> = self.grants_of(visitor).collect();
        // His own are before anybody's; the sort is stable.
        grants.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut seen = HashSet::new();
        grants.retain(|grant| seen.insert((grant.scope, &grant.schema, &grant.object)));
        grants.into_iter().map(|grant| (grant.scope, &*grant.schema, &*grant.object, &*grant.privileges)).collect()
    }

    fn grants_of<'a>(&'a self, visitor: Visitor<'a>) -> impl Iterator<Item = &'a Grant> {
        let of = |user: &str| self.users.get(user).into_iter().flat_map(|holding| &holding.grants);
        let anybody = if visitor.account.user.is_empty() { None } else { Some(of("")) };
        let anybodys = anybody.into_iter().flatten().filter(|grant| grant.scope == Scope::Schema);
        of(&visitor.account.user).chain(anybodys).filter(move |grant| grant.host.matches(visitor.origin))
    }

    /// Roles he may take.
    fn roles_of<'a>(&'a self, visitor: Visitor<'a>) -> BTreeSet<&'a str> {
        let holding = self.users.get(&visitor.account.user);
        let mine = holding.into_iter().flat_map(|holding| &holding.roles);
        mine.filter(|(host, _)| host.matches(visitor.origin)).map(|(_, role)| &**role).collect()
    }

    /// Roles that are in force when he enters: the default role, if he may take it, PUBLIC, and what these contain.
    fn roles_on_entry<'a>(&'a self, visitor: Visitor<'a>) -> BTreeSet<&'a str> {
        let default = &*visitor.account.default_role;
        let default = self.roles_of(visitor).contains(default).then_some(default);
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = default.into_iter().chain([PUBLIC]).collect();
        while let Some(role) = open.pop() {
            if let Some((_, holding)) = self.roles.get(role)
                && reached.insert(role)
            {
                open.extend(holding.roles.iter().map(|(_, role)| &**role));
            }
        }
        reached
    }
}

/// Do these grants open the schema? Of those on schemas only the first counts, also if it gives nothing.
fn open<'a>(grants: impl Iterator<Item = &'a Grant>, schema: &str) -> bool {
    let (on_schemas, on_objects): (Vec<_>, Vec<_>) =
        grants.filter(|grant| grant.is_about(schema)).partition(|grant| grant.scope == Scope::Schema);
    let first = on_schemas.into_iter().min_by(|a, b| a.order().cmp(&b.order()));
    !on_objects.is_empty() || first.is_some_and(|grant| grant.privileges.contains('Y'))
}
