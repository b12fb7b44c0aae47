// SPDX-License-Identifier: GPL-2.0

//! The rules of fault plans: as structures of the UAPI header, and as the text of the debugfs file
//! `faults`, which has the plan of new queues.

use crate::{
    uapi::{
        vfence_fault,
        vfence_fault_kind_VFENCE_FAULT_DELAY as DELAY,
        vfence_fault_kind_VFENCE_FAULT_DROP_INTERRUPT as DROP_INTERRUPT,
        vfence_fault_kind_VFENCE_FAULT_FAIL as FAIL,
        vfence_fault_kind_VFENCE_FAULT_HANG as HANG,
        VFENCE_MAX_FAULTS, //
    },
    vfence::{
        refusal::{
            must_be_errno,
            refuse, //
        },
        sched::fault_plan::{
            FaultKind,
            FaultPlan,
            FaultRule,
            FaultTrigger, //
        },
        uarg::read_written, //
    },
};
use core::str::FromStr;
use kernel::{
    debugfs::{
        Reader,
        Writer, //
    },
    fmt,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex,
    uaccess::UserSliceReader, //
};

// The scheduler's fault kinds are the header's: user space sees them as bits.
const _: () = assert!(
    FaultKind::Fail as u32 == FAIL
        && FaultKind::Hang as u32 == HANG
        && FaultKind::Delay as u32 == DELAY
        && FaultKind::DropInterrupt as u32 == DROP_INTERRUPT
        && FaultPlan::MAX_RULES == VFENCE_MAX_FAULTS as usize
);

/// The probability 1, in millionths.
const ALWAYS: u32 = 1_000_000;

/// Returns the rule that user space describes. Fails with `EINVAL` if its fields contradict each
/// other.
pub(crate) fn rule_from_user(fault: &vfence_fault) -> Result<FaultRule> {
    let kind = match fault.kind {
        FAIL => FaultKind::Fail,
        HANG => FaultKind::Hang,
        DELAY => FaultKind::Delay,
        DROP_INTERRUPT => FaultKind::DropInterrupt,
        kind => return Err(refuse!(EINVAL, "fault: kind {} is unknown", kind)),
    };
    must_be_errno!("fault: error", fault.error)?;
    if (fault.error != 0) != (kind == FaultKind::Fail) {
        return Err(refuse!(
            EINVAL,
            "fault: error {} of kind {}: VFENCE_FAULT_FAIL has an error, other kinds have 0",
            fault.error,
            fault.kind
        ));
    }
    if (fault.delay_ns != 0) != (kind == FaultKind::Delay) {
        return Err(refuse!(
            EINVAL,
            "fault: delay_ns {} of kind {}: VFENCE_FAULT_DELAY has a delay, other kinds have 0",
            fault.delay_ns,
            fault.kind
        ));
    }
    let trigger = match (fault.every, fault.probability) {
        (1.., 0) => FaultTrigger::Every(fault.every),
        (0, 1..=ALWAYS) => FaultTrigger::Probability(fault.probability),
        (every, probability) => {
            return Err(refuse!(
                EINVAL,
                "fault: every {}, probability {}: one must be 0, and the probability at most {}",
                every,
                probability,
                ALWAYS
            ))
        }
    };
    Ok(FaultRule {
        kind,
        trigger,
        error: fault.error,
        delay: fault.delay_ns,
        remaining: match fault.limit {
            0 => u64::MAX,
            limit => limit,
        },
        since_last: 0,
    })
}

/// The fault plan of new timer and worker queues, if there is one.
#[pin_data]
pub(crate) struct DefaultFaults {
    #[pin]
    text: Mutex<KVec<u8>>,
}

impl DefaultFaults {
    /// Initialises an empty plan.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            text <- new_mutex!(KVec::new(), "vfence_faults"),
        })
    }

    /// Returns a new copy of the plan; `None` if there are no faults.
    pub(crate) fn plan(&self) -> Option<FaultPlan> {
        let text = self.text.lock();
        if text.is_empty() {
            return None;
        }
        parse(&text).ok()
    }
}

impl Reader for DefaultFaults {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        let length = reader.len();
        if length > PAGE_SIZE {
            return Err(refuse!(
                EINVAL,
                "faults: {} bytes exceed one page, {}",
                length,
                PAGE_SIZE
            ));
        }
        let mut text = KVec::from_elem(0, reader.len(), GFP_KERNEL)?;
        read_written(c"faults", reader, &mut text)?;
        parse(&text)?;
        if text.trim_ascii().is_empty() {
            text.clear();
        }
        *self.text.lock() = text;
        Ok(())
    }
}

impl Writer for DefaultFaults {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.lock();
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Returns the plan that a text describes: a rule a line, and perhaps a line with the seed. Fails
/// with `EINVAL`.
fn parse(text: &[u8]) -> Result<FaultPlan> {
    let text =
        core::str::from_utf8(text).map_err(|_| refuse!(EINVAL, "faults: the text is not UTF-8"))?;
    let lines = || text.split(['\n', ';']).map(str::trim);
    let mut seed = 0;
    for line in lines() {
        if let Some(value) = line.strip_prefix("seed=") {
            seed = number(value)?;
        }
    }
    let mut plan = FaultPlan::new(seed);
    for line in lines() {
        if line.is_empty() || line.starts_with("seed=") {
            continue;
        }
        if !plan.add(parse_rule(line)?) {
            return Err(refuse!(
                EINVAL,
                "faults: more rules than VFENCE_MAX_FAULTS, {}",
                VFENCE_MAX_FAULTS
            ));
        }
    }
    Ok(plan)
}

/// Returns the rule of a line such as `fail every=3 error=-5`.
fn parse_rule(line: &str) -> Result<FaultRule> {
    let mut words = line.split_ascii_whitespace();
    let mut fault = vfence_fault {
        kind: match words.next() {
            Some("fail") => FAIL,
            Some("hang") => HANG,
            Some("delay") => DELAY,
            Some("drop_interrupt") => DROP_INTERRUPT,
            kind => {
                let kind = kind.unwrap_or_default();
                return Err(refuse!(EINVAL, "faults: {:?} is not a kind of fault", kind));
            }
        },
        ..Default::default()
    };
    for word in words {
        let unknown = || refuse!(EINVAL, "faults: {:?} is not a field of a fault", word);
        match word.split_once('=').ok_or_else(unknown)? {
            ("every", value) => fault.every = number(value)?,
            ("probability", value) => fault.probability = number(value)?,
            ("error", value) => fault.error = number(value)?,
            ("delay_ns", value) => fault.delay_ns = number(value)?,
            ("limit", value) => fault.limit = number(value)?,
            _ => return Err(unknown()),
        }
    }
    rule_from_user(&fault)
}

fn number<T: FromStr>(text: &str) -> Result<T> {
    let number = text.parse();
    number.map_err(|_| refuse!(EINVAL, "faults: {:?} is not a number in range", text))
}

#[kernel::macros::kunit_tests(vfence_faults)]
mod tests {
    use super::*;

    /// Returns the kinds of faults that each of the next `COUNT` jobs gets.
    fn kinds<const COUNT: usize>(text: &str) -> Result<[u32; COUNT]> {
        let mut plan = parse(text.as_bytes())?;
        Ok(core::array::from_fn(|_| plan.next_job().kinds))
    }

    #[test]
    fn text_is_a_plan() -> Result {
        let (fail, hang) = (FaultKind::Fail.bit(), FaultKind::Hang.bit());
        let plan = "fail every=2 error=-5 limit=1\nseed=3; hang probability=1000000\n";
        assert_eq!(kinds(plan)?, [hang, fail | hang, hang, hang]);
        assert_eq!(kinds(" \n")?, [0, 0]);
        let mut delayed = parse(b"delay every=1 delay_ns=7")?;
        assert_eq!(delayed.next_job().delay, 7);
        Ok(())
    }

    #[test]
    fn invalid_text_is_refused() {
        for text in [
            "fail every=2",
            "fail every=2 error=5",
            "fail error=-5",
            "fail every=1 probability=1 error=-5",
            "hang every=1 error=-5",
            "hang every=x",
            "hang often",
            "hang every=1 colour=2",
            "crash every=1",
            "seed=-1",
        ] {
            assert!(parse(text.as_bytes()).is_err());
        }
        assert!(parse(b"\xff").is_err());
    }
}
