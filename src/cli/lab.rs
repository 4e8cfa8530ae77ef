//! `oarlock lab`: real servers on loopback addresses to try things on.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use comfy_table::Table;

use crate::lab::{Lab, LabError, Node, Process, Site, Sst};

/// Bring up and break a cluster of real servers on this machine
#[derive(clap::Args)]
pub struct Args {
    /// Where the lab is kept: a path without spaces, open to the user mysql
    #[arg(long, value_name = "PATH", default_value = "/tmp/oarlock-lab", global = true)]
    folder: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Start a Galera cluster of 3 and a standalone server of the other data centre
    Up {
        /// How a node gets the whole state from another
        #[arg(long, value_enum, default_value = "mariabackup")]
        sst: Transfer,
        /// Give up a dead node after about 3 s instead of 6
        #[arg(long)]
        fast_eviction: bool,
    },
    /// End all servers and remove the folder
    Down,
    /// Say how each server is
    Status,
    /// Start servers that have ended
    Start(Nodes),
    /// Shut servers down in order
    Stop(Nodes),
    /// Kill servers with signal 9
    Kill(Nodes),
    /// Stop servers in their tracks: connections stay open and nothing answers
    Freeze(Nodes),
    /// Let frozen servers go on
    Thaw(Nodes),
    /// Print the configuration of a proxy in front of one of the lab's two sites, with a link from the other
    Config {
        /// The site
        #[arg(value_enum)]
        site: Place,
    },
    /// Open a client as root, or run statements
    Sql {
        /// Its name, such as galera-71
        node: String,
        /// Statements; a prompt without
        statements: Option<String>,
    },
}

#[derive(clap::Args)]
struct Nodes {
    /// Names, such as galera-71
    #[arg(required = true, value_name = "NODE")]
    names: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Place {
    /// The cluster
    Primary,
    /// The standalone server of the other data centre
    Dr,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Transfer {
    Mariabackup,
    Rsync,
}

/// Does what the arguments say.
pub fn run(args: Args) -> ExitCode {
    match act(args) {
        Ok(code) => code,
        Err(why) => super::failed(why),
    }
}

fn act(Args { folder, action }: Args) -> Result<ExitCode, LabError> {
    match action {
        Action::Up { sst, fast_eviction } => {
            let sst = match sst {
                Transfer::Mariabackup => Sst::Mariabackup,
                Transfer::Rsync => Sst::Rsync,
            };
            let order = Lab::builder().standalone(true).sst(sst).fast_eviction(fast_eviction);
            println!("{}", status(&order.start_in(&folder)?));
        }
        Action::Down => Lab::down(&folder)?,
        Action::Status => println!("{}", status(&Lab::open(&folder)?)),
        Action::Start(nodes) => start(&Lab::open(&folder)?, &nodes)?,
        Action::Stop(nodes) => each(&Lab::open(&folder)?, &nodes, Node::stop)?,
        Action::Kill(nodes) => each(&Lab::open(&folder)?, &nodes, Node::kill)?,
        Action::Freeze(nodes) => each(&Lab::open(&folder)?, &nodes, Node::freeze)?,
        Action::Thaw(nodes) => each(&Lab::open(&folder)?, &nodes, Node::thaw)?,
        Action::Config { site: Place::Primary } => print!("{}", Lab::open(&folder)?.linked_config_toml(Site::Primary)),
        Action::Config { site: Place::Dr } => print!("{}", Lab::open(&folder)?.linked_config_toml(Site::Dr)),
        Action::Sql { node, statements } => return sql(Lab::open(&folder)?.node(&node)?, statements.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}

/// All at once: after a crash of the whole cluster its nodes wait for each other.
fn start(lab: &Lab, nodes: &Nodes) -> Result<(), LabError> {
    each(lab, nodes, Node::launch)?;
    each(lab, nodes, Node::wait_started)
}

fn each(lab: &Lab, nodes: &Nodes, act: impl Fn(&Node) -> Result<(), LabError>) -> Result<(), LabError> {
    nodes.names.iter().try_for_each(|name| act(lab.node(name)?))
}

fn status(lab: &Lab) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL);
    table.set_header(["Node", "Address", "Process", "Cluster", "GTID"]);
    for node in lab.nodes() {
        let (cluster, gtid) = match node.process() {
            Process::Running => replication(node),
            Process::Frozen | Process::Ended => Default::default(),
        };
        table.add_row([node.name().into(), node.address().to_string(), format!("{:?}", node.process()), cluster, gtid]);
    }
    table
}

/// What the server says of its cluster, and its position.
fn replication(node: &Node) -> (String, String) {
    let question = "SELECT IF(@@wsrep_on, GROUP_CONCAT(variable_value ORDER BY variable_name DESC SEPARATOR ' of '), ''), @@gtid_binlog_pos \
                    FROM information_schema.global_status \
                    WHERE variable_name IN ('wsrep_local_state_comment', 'wsrep_cluster_size')";
    let answer = node.sql(question).map(|rows| rows.concat()).unwrap_or_default();
    let mut words = answer.into_iter().map(Option::unwrap_or_default);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

fn sql(node: &Node, statements: Option<&str>) -> Result<ExitCode, LabError> {
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", node.socket().display()));
    if let Some(statements) = statements {
        client.args(["--table", "--execute", statements]);
    }
    let ended = client.status().map_err(|source| LabError::Io { what: "run the client mariadb".into(), source })?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
