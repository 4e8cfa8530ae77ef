//! A whole lab: made to order, found again, taken down.

use std::fs::{create_dir_all, read_dir, set_permissions, write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::claim::Claim;
use super::guardian::{self, Guardian};
use super::options::my_cnf;
use super::spec::{Kind, Member, Servers, Site, Spec};
use super::template::Template;
use super::{LabError, Node, Sst, Userland};

/// Real servers on addresses of their own.
#[derive(Debug)]
pub struct Lab {
    /// None if the lab stays. Dropped first: it ends the servers.
    guardian: Option<Guardian>,
    spec: Arc<Spec>,
    nodes: Vec<Node>,
}

impl Lab {
    /// An order for a lab: by default 3 Galera nodes, nothing else, mariabackup, Galera's own eviction times.
    pub fn builder() -> Builder {
        let spec = Spec {
            folder: PathBuf::new(),
            net: 0,
            primary: Servers::Galera(3),
            dr: Servers::None,
            sst: Sst::default(),
            userland: Userland::default(),
            fast_eviction: false,
            options: Vec::new(),
        };
        Builder { spec }
    }

    /// The lab that [`Builder::start_in`] made in `folder`.
    pub fn open(folder: &Path) -> Result<Self, LabError> {
        let spec = Spec::load(folder)?;
        let claim = Claim::again(spec.net, &spec.folder)?;
        Ok(Self::new(spec, claim))
    }

    /// Ends all servers of the lab in `folder` and removes the folder.
    pub fn down(folder: &Path) -> Result<(), LabError> {
        guardian::end(&Spec::load(folder)?.folder)
    }

    /// All servers, the primary site's first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The server of this name.
    pub fn node(&self, name: &str) -> Result<&Node, LabError> {
        self.nodes.iter().find(|node| node.name() == name).ok_or_else(|| {
            let names: Vec<_> = self.nodes.iter().map(Node::name).collect();
            LabError::Refused(format!("no node {name} here, there are: {}", names.join(", ")))
        })
    }

    /// An address of this lab's net. The servers' own are 71 to 79 and 81 to 89; the proxies' are 70 and 80.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        self.spec.address(host)
    }

    /// From here on the lab stays until [`Lab::down`].
    pub fn keep(mut self) -> Result<Self, LabError> {
        self.spec.save()?;
        if let Some(guardian) = self.guardian.take() {
            guardian.dismiss()?;
        }
        Ok(self)
    }

    /// Makes the process `command` starts a part of the lab: it ends with it.
    pub fn adopt(&self, command: &mut Command) {
        command.env(guardian::MARK, &self.spec.folder).process_group(0);
    }

    /// Where everything of this lab is kept; gone with it.
    pub fn folder(&self) -> &Path {
        &self.spec.folder
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    fn new(spec: Spec, claim: Claim) -> Self {
        let (spec, claim) = (Arc::new(spec), Arc::new(claim));
        let nodes = spec.members().into_iter().map(|member| Node::new(&spec, &claim, member)).collect();
        Self { guardian: None, spec, nodes }
    }

    fn bring_up(&self) -> Result<(), LabError> {
        self.spec.check()?;
        let template = Template::ready(&base()?, &self.spec.userland)?;
        for member in self.spec.members() {
            prepare(&self.spec, member, &template)?;
        }
        self.nodes.iter().try_for_each(Node::launch)?;
        self.nodes.iter().try_for_each(Node::wait_started)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.guardian.take().is_some() {
            self.nodes.iter().for_each(Node::reap);
        }
    }
}

/// An order for a lab.
#[derive(Clone, Debug)]
pub struct Builder {
    spec: Spec,
}

impl Builder {
    /// How many Galera nodes, 0 to 9.
    pub fn galera(mut self, nodes: u8) -> Self {
        self.spec.primary = if nodes == 0 { Servers::None } else { Servers::Galera(nodes) };
        self
    }

    /// Whether the other data centre's standalone server is there.
    pub fn standalone(mut self, yes: bool) -> Self {
        self.spec.dr = if yes { Servers::Standalone } else { Servers::None };
        self
    }

    /// The other data centre is a Galera cluster too, of 1 to 9 nodes.
    pub fn second_galera(mut self, nodes: u8) -> Self {
        self.spec.dr = Servers::Galera(nodes);
        self
    }

    /// How a node gets the whole state.
    pub fn sst(mut self, sst: Sst) -> Self {
        self.spec.sst = sst;
        self
    }

    /// Whose programs the servers are, if not this system's.
    pub fn userland(mut self, userland: &Userland) -> Self {
        self.spec.userland = userland.clone();
        self
    }

    /// Whether the cluster gives up a dead node after about 3 s instead of 6. Under heavy load it then evicts healthy ones.
    pub fn fast_eviction(mut self, yes: bool) -> Self {
        self.spec.fast_eviction = yes;
        self
    }

    /// A server option for all nodes that wins over the lab's own.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.spec.options.push((name.into(), value.into()));
        self
    }

    /// A lab that lives as long as the value returned.
    pub fn start(self) -> Result<Lab, LabError> {
        let base = base()?;
        let claim = Claim::first(|net| base.join(net.to_string()))?;
        let folder = base.join(claim.net.to_string());
        if folder.exists() {
            // Of a lab whose guardian was killed too. The net is ours now, so nobody uses it.
            guardian::end(&folder)?;
        }
        create(&folder)?;
        self.raise(folder, claim)
    }

    /// A lab that stays until [`Lab::down`], kept in `folder`, which must be new or empty.
    pub fn start_in(self, folder: &Path) -> Result<Lab, LabError> {
        if read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(LabError::Refused(format!("{} is not empty: take down the lab there first", folder.display())));
        }
        create(folder)?;
        let folder = folder.canonicalize().map_err(LabError::path("find", folder))?;
        let claim = Claim::first(|_| folder.clone())?;
        self.raise(folder, claim)?.keep()
    }

    fn raise(mut self, folder: PathBuf, claim: Claim) -> Result<Lab, LabError> {
        (self.spec.folder, self.spec.net) = (folder, claim.net);
        let guardian = Guardian::watch(&self.spec.folder, &claim)?;
        let mut lab = Lab::new(self.spec, claim);
        lab.guardian = Some(guardian);
        lab.bring_up()?;
        Ok(lab)
    }
}

/// The folder of a member: a fresh copy of the template, and its configuration.
fn prepare(spec: &Spec, member: Member, template: &Template) -> Result<(), LabError> {
    let folder = spec.folder_of(member);
    create(&folder)?;
    create(&folder.join("tmp"))?;
    template.copy(&folder.join("data"))?;
    let mut own = vec![folder.clone(), folder.join("tmp")];
    let mut files = vec![(folder.join("my.cnf"), my_cnf(spec, member, &template.user))];
    if member.kind == Kind::Galera {
        files.push((folder.join("data/grastate.dat"), first_state(member.site)));
        files.push((folder.join("data/gvwstate.dat"), first_view(spec, member)));
    }
    for (path, text) in files {
        write(&path, text).map_err(LabError::path("write", &path))?;
        own.push(path);
    }
    let (user, group) = template.owner()?;
    own.iter()
        .try_for_each(|path| chown(path, Some(user), Some(group)).map_err(LabError::path("change owner of", path)))
}

/// All nodes begin with the same data, so they begin as the members of one cluster that stopped in good order: this state and the
/// view below let them find together at once, in parallel and without a state transfer.
fn first_state(site: Site) -> String {
    let uuid = format!("00000000-0000-4000-8000-0000000000{}", site.number());
    format!("# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   0\nsafe_to_bootstrap: 0\n")
}

/// Names of members must differ in their first four bytes, or Galera takes a restarted member for another one.
fn first_view(spec: &Spec, own: Member) -> String {
    let id = |member: Member| format!("{0}000000-e6b4-11f1-8000-0000000000{0}", member.number);
    let all: Vec<_> = spec.members_of(own.site).into_iter().map(id).collect();
    let members: String = all.iter().map(|member| format!("member: {member} 0\n")).collect();
    let (own, first) = (id(own), &all[0]);
    format!("my_uuid: {own}\n#vwbeg\nview_id: 3 {first} 1\nbootstrap: 0\n{members}#vwend\n")
}

/// Where this user's template and passing labs are kept.
fn base() -> Result<PathBuf, LabError> {
    let base = std::env::temp_dir().join(format!("oarlock-lab-{}", rustix::process::getuid().as_raw()));
    create(&base)?;
    Ok(base)
}

/// A folder the servers' user can pass through.
fn create(folder: &Path) -> Result<(), LabError> {
    create_dir_all(folder).map_err(LabError::path("create", folder))?;
    set_permissions(folder, std::fs::Permissions::from_mode(0o755)).map_err(LabError::path("open to all", folder))
}
