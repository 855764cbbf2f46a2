//! `pds verify`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args as ClapArgs;
use pds_client::trust::TrustFile;
use pds_client::verify::{self, Circumstances, Received};
use pds_core::evidence::Currency;
use pds_core::formula;
use pds_schemas::{Evidence, PluginName, PluginPackage, PosixTime};
use serde_json::json;

use crate::options::{StateArgs, now, read_file};
use crate::outcome::{Failure, Outcome, causes};
use crate::show;

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds verify datagram.pds --trust trust.toml --formula 'PV1 & PV2'
  pds verify be.mpiraux.datagram.evidence --trust trust.toml --name be.mpiraux.datagram

No network. FILE is a package, evidence, or a tlog-proof. A package is held against the formula: exit code 1 \
if it is not satisfied. Evidence alone is checked for what it proves: exit code 1 if it proves nothing.")]
pub struct Args {
    /// What to verify
    file: PathBuf,
    #[command(flatten)]
    how: VerifyArgs,
}

/// How something is verified offline.
#[derive(ClapArgs)]
pub struct VerifyArgs {
    /// Trust file
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
    /// Who must stand for the plugin [default: every validator of the trust file]
    #[arg(long, value_name = "F")]
    formula: Option<String>,
    /// The name it must be about [default: what it says itself; proof of absence needs it]
    #[arg(long)]
    pub name: Option<PluginName>,
    /// The time to judge at, in POSIX seconds [default: this machine's clock]
    #[arg(long, value_name = "POSIX")]
    now: Option<PosixTime>,
    /// Take evidence that is older than what was seen of its log before
    #[arg(long)]
    allow_older: bool,
    #[command(flatten)]
    state: StateArgs,
}

pub fn run(args: Args) -> Result<Outcome, Failure> {
    let bytes = read_file(&args.file, verify::MAX_BYTES)?;
    let received = Received::read(&bytes).map_err(Failure::refused)?;
    let name = args.how.name.clone().or_else(|| received.claimed_name());
    match &received {
        Received::Package(package) => {
            let name = name.ok_or_else(|| Failure::refused(anyhow!("the package's manifest has no name")))?;
            args.how.package(&name, package)
        }
        Received::Evidence(evidence) | Received::TlogProof(evidence) => {
            let absent = || anyhow!("proof of absence does not say of what: give --name");
            args.how.evidence(&name.ok_or_else(|| Failure::usage(absent()))?, evidence)
        }
    }
}

impl VerifyArgs {
    /// Holds a package against the formula.
    pub fn package(&self, name: &PluginName, package: &PluginPackage) -> Result<Outcome, Failure> {
        let trust = TrustFile::load(&self.trust)?;
        let formula = match &self.formula {
            Some(text) => formula::parse(text)?,
            None => trust.everybody(),
        };
        trust.named_by(&formula)?;
        let memory = self.state.open_existing()?;
        let under = Circumstances {
            trust: &trust,
            now: self.now.map_or_else(now, Ok)?,
            memory: memory.as_ref(),
            allow_older: self.allow_older,
        };
        let verdict = verify::judge(&formula, name, package, &under)?;
        let formula = formula.to_string();
        let text = show::verdict(&formula, name, &verdict);
        let mut json = show::verdict_json(&formula, name, &verdict);
        json["kind"] = "package".into();
        Ok(Outcome::verdict(verdict.satisfied, json, text))
    }

    fn evidence(&self, name: &PluginName, evidence: &Evidence) -> Result<Outcome, Failure> {
        if self.formula.is_some() {
            return Err(Failure::usage(anyhow!("a formula is about a package, and this is evidence alone")));
        }
        let trust = TrustFile::load(&self.trust)?;
        let memory = self.state.open_existing()?;
        let Some(known) = verify::validator_of(&trust, evidence) else {
            return Err(Failure::refused(anyhow!("no validator of {} made this", self.trust.display())));
        };
        let mut steps = Vec::new();
        let at = self.now.map_or_else(now, Ok)?;
        let result = verify::evidence(known, name, evidence, at, &mut steps);
        let mut text = format!("{} ({}):\n{}", known.nickname, known.trusted.origin(), show::steps(&steps));
        let mut json = json!({ "kind": "evidence", "name": name, "validator": known.nickname });
        json["steps"] = show::steps_json(&steps);
        let refusal = match &result {
            Ok(verified) => {
                let recalled = match &memory {
                    Some(memory) => verify::recall(memory, known, evidence)?,
                    None => verify::Recalled::Nothing,
                };
                text += &show::recalled(recalled);
                json["proves"] = show::proved_json(verified);
                // History was never said to be of now.
                let older_is_fine = self.allow_older || verified.currency != Currency::Now;
                recalled.refusal(older_is_fine).map(|refusal| refusal.to_string())
            }
            Err(error) => Some(causes(error).join(": ")),
        };
        match (&refusal, &result) {
            (None, Ok(verified)) => text += &format!("{}\n", show::proved(name, verified)),
            (refusal, _) => {
                let refusal = refusal.as_deref().unwrap_or_default();
                text += &format!("  \u{2717} {refusal}\nthis proves nothing about {name}\n");
            }
        }
        json["holds"] = refusal.is_none().into();
        json["error"] = json!(refusal);
        Ok(Outcome::verdict(refusal.is_none(), json, text))
    }
}
