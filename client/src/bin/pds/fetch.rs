//! `pds fetch`.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use pds_client::fetch::{self, FetchError, Fetched, Source};
use pds_client::parallel;
use pds_client::trust::TrustFile;
use pds_client::verify::{self, Circumstances};
use pds_core::evidence::to_tlog_proof;
use pds_core::formula::{self, Formula};
use pds_schemas::{Artefact, EpochNumber, Evidence, PluginName};
use serde_json::{Map, Value, json};

use crate::options::{StateArgs, now, sources, write_file};
use crate::outcome::{Failure, Outcome, causes, plain};
use crate::progress::bar;
use crate::show;

#[derive(ClapArgs)]
#[command(after_help = "Examples:
  pds fetch be.mpiraux.datagram --trust trust.toml
  pds fetch be.mpiraux.datagram --trust trust.toml --formula 'PV1 & (PV2 | PV3[structure])'
  pds fetch be.mpiraux.datagram --trust trust.toml --validator PV1 --epoch 12 --format tlog-proof

Writes NAME.pds if the formula is satisfied; otherwise what there is of evidence, as NAME.evidence (with \
several validators NAME.NICK.evidence), and exits with 1. With --format evidence or tlog-proof, or --epoch, verified \
evidence is all that is asked for and written: exit code 0 whatever it says.")]
pub struct Args {
    /// The plugin's name
    name: PluginName,
    /// Trust file
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Who must stand for the plugin [default: every validator of the trust file]
    #[arg(long, value_name = "F", conflicts_with = "validator")]
    formula: Option<String>,
    /// The only validator to ask
    #[arg(long, value_name = "NICK")]
    validator: Option<String>,
    /// How it was in this epoch, instead of now: evidence, never a package
    #[arg(long, value_name = "E")]
    epoch: Option<EpochNumber>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What to fetch
    #[arg(long, value_enum, default_value_t = Format::Package)]
    format: Format,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Bytecode and manifest with evidence
    Package,
    /// Evidence alone, as CBOR
    Evidence,
    /// Evidence alone, as a C2SP tlog-proof
    TlogProof,
}

pub async fn run(mut args: Args) -> Result<Outcome, Failure> {
    if args.epoch.is_some() && args.format == Format::Package {
        // No formula takes history, so there is no package of it.
        args.format = Format::Evidence;
    }
    let trust = TrustFile::load(&args.trust)?;
    let formula = match (&args.formula, &args.validator) {
        (Some(text), _) => formula::parse(text)?,
        (None, Some(nickname)) => {
            trust.get(nickname)?;
            formula::parse(nickname)?
        }
        (None, None) => trust.everybody(),
    };
    let sources = sources(trust.named_by(&formula)?)?;
    let mut run =
        Run { args, trust, formula, sources, text: String::new(), json: Map::new(), shortfall: None };
    let fetched = run.evidence().await?;
    if run.args.format != Format::Package {
        let files = run.write_evidence(&fetched)?;
        run.field("written", json!(files));
        return Ok(Outcome { code: run.shortfall.unwrap_or(0), json: run.json.into(), text: run.text });
    }
    run.package(fetched).await
}

struct Run {
    args: Args,
    trust: TrustFile,
    formula: Formula,
    sources: Vec<Source>,
    text: String,
    json: Map<String, Value>,
    /// The exit code that follows from somebody's missing or refused evidence, unless the others suffice.
    shortfall: Option<u8>,
}

impl Run {
    fn field(&mut self, name: &str, value: Value) {
        self.json.insert(name.to_owned(), value);
    }

    /// Evidence of everybody who gave some that holds; an error if nobody did.
    async fn evidence(&mut self) -> Result<Vec<Fetched>, Failure> {
        let (memory, now) = (self.args.state.open()?, now()?);
        let (name, epoch) = (self.args.name.clone(), self.args.epoch);
        let results = parallel::map(self.sources.clone(), 8, |source| {
            let (memory, name) = (memory.clone(), name.clone());
            async move {
                let fetched = fetch::evidence(&source, &memory, &name, epoch, now).await;
                (source, fetched)
            }
        })
        .await;
        let mut good = Vec::new();
        let mut bad: Vec<FetchError> = Vec::new();
        let mut shown = Map::new();
        for (source, result) in results {
            let (nickname, origin) = (&source.known.nickname, source.known.trusted.origin());
            self.text += &format!("{nickname} ({origin}):\n");
            let value = match result {
                Ok(fetched) => {
                    let value = self.show(&source, &fetched).await;
                    good.push(fetched);
                    value
                }
                Err(error) => {
                    self.text += &show::failed(&error);
                    let value = json!({ "error": causes(&error).join(": ") });
                    bad.push(error);
                    value
                }
            };
            shown.insert(nickname.clone(), value);
        }
        self.field("name", json!(self.args.name));
        self.field("validators", shown.into());
        if bad.iter().any(FetchError::is_verdict) {
            self.shortfall = Some(1);
        } else if !bad.is_empty() {
            self.shortfall = Some(3);
        }
        // A log that was caught comes before anything that others may make good. When nobody is left, the gravest says why.
        let caught = bad.iter().position(FetchError::is_alarm);
        let gravest = || bad.iter().position(FetchError::is_verdict).unwrap_or(0);
        match caught.or_else(|| (good.is_empty() && !bad.is_empty()).then(gravest)) {
            Some(at) => {
                // Of one source, the error says it all.
                if self.sources.len() > 1 {
                    eprint!("{}", plain(&self.text));
                }
                Err(bad.swap_remove(at).into())
            }
            None => Ok(good),
        }
    }

    /// Tells what was verified, and why a release failed if one did.
    async fn show(&mut self, source: &Source, fetched: &Fetched) -> Value {
        let verified = &fetched.verified;
        self.text += &show::steps(&fetched.steps);
        self.text += &show::growth(fetched.growth);
        self.text += &format!("  {}\n", show::proved(&self.args.name, verified));
        let mut value = show::proved_json(verified);
        value["steps"] = show::steps_json(&fetched.steps);
        match fetch::cause(&source.api, verified).await {
            Ok(Some(cause)) => {
                self.text += &show::cause(&cause);
                value["failure"] = show::cause_json(&cause);
            }
            Ok(None) => {}
            Err(error) => {
                self.text += &format!("  - its cause cannot be had: {}\n", causes(&error).join(": "))
            }
        }
        value
    }

    async fn package(mut self, fetched: Vec<Fetched>) -> Result<Outcome, Failure> {
        if fetched.iter().all(|f| f.verified.binding.is_none()) {
            return self.unsatisfied(&fetched);
        }
        let bar = bar("files");
        let on_progress = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let package = fetch::package(&self.sources, &fetched, &self.formula, on_progress).await;
        bar.finish_and_clear();
        let package = package?;
        let under = Circumstances { trust: &self.trust, now: now()?, memory: None, allow_older: false };
        let mut verdict = verify::judge(&self.formula, &self.args.name, &package, &under)?;
        // What was verified of the evidence is told above.
        verdict.terms.iter_mut().for_each(|term| term.steps.clear());
        let formula = self.formula.to_string();
        self.text += &show::verdict(&formula, &self.args.name, &verdict);
        self.field("verdict", show::verdict_json(&formula, &self.args.name, &verdict));
        if !verdict.satisfied {
            return self.unsatisfied(&fetched);
        }
        let path = self.args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.pds", self.args.name)));
        write_file(&path, &package.to_bytes())?;
        self.text += &format!("wrote {}\n", path.display());
        self.field("written", json!([path]));
        self.field("satisfied", true.into());
        Ok(Outcome::holds(self.json.into(), self.text))
    }

    /// The formula is not satisfied by those who answered; if others did not, that may be why.
    fn unsatisfied(mut self, fetched: &[Fetched]) -> Result<Outcome, Failure> {
        let files = self.write_evidence(fetched)?;
        self.field("written", json!(files));
        self.field("satisfied", false.into());
        Ok(Outcome { code: self.shortfall.unwrap_or(1), json: self.json.into(), text: self.text })
    }

    fn write_evidence(&mut self, fetched: &[Fetched]) -> Result<Vec<PathBuf>, Failure> {
        let tlog = self.args.format == Format::TlogProof;
        let extension = if tlog { "tlog-proof" } else { "evidence" };
        let mut written = Vec::new();
        for Fetched { nickname, evidence, .. } in fetched {
            let several = fetched.len() > 1;
            let path = match &self.args.out {
                // What was asked to be a package's place is not given to something else.
                Some(out) if self.args.format != Format::Package && several => beside(out, nickname),
                Some(out) if self.args.format != Format::Package => out.clone(),
                _ if several => PathBuf::from(format!("{}.{nickname}.{extension}", self.args.name)),
                _ => PathBuf::from(format!("{}.{extension}", self.args.name)),
            };
            write_file(&path, &encode(evidence, tlog)?)?;
            self.text += &format!("wrote {}\n", path.display());
            written.push(path);
        }
        Ok(written)
    }
}

fn beside(path: &Path, nickname: &str) -> PathBuf {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_extension(format!("{nickname}.{extension}"))
}

fn encode(evidence: &Evidence, tlog: bool) -> Result<Vec<u8>, Failure> {
    if !tlog {
        return Ok(evidence.to_bytes());
    }
    Ok(to_tlog_proof(evidence).map_err(Failure::unknown)?.to_string().into_bytes())
}
