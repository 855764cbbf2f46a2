//! What the generator makes: good and bad enough to tell verifiers apart.

use pds_bytecode::generate::{Callee, Pass, program};
use pds_bytecode::machine::{End, Machine};
use pds_bytecode::memory::Kind;
use pds_bytecode::mutate::mutate;
use pds_validator::cfg::Cfg;
use pds_validator::program::Program;

fn callees() -> Vec<Callee> {
    let callee = |name: &str, arguments: &[Pass], allocates| Callee {
        name: name.to_owned(),
        arguments: arguments.to_vec(),
        allocates,
    };
    vec![
        callee("allocate", &[Pass::Context, Pass::Number(1, 200)], Some(1)),
        callee("get", &[Pass::Context, Pass::Number(0, 9)], None),
        callee("write", &[Pass::Room(16), Pass::Bytes(8), Pass::Text], None),
        callee("free", &[Pass::Context, Pass::Allocation], None),
    ]
}

#[test]
fn programs_are_in_order_and_end_in_every_way() {
    let callees = callees();
    let mut random = fastrand::Rng::with_seed(1);
    let (mut in_order, mut with_loops, mut mutants) = (0, 0, 0);
    let (mut exits, mut faults, mut endless) = (0, 0, 0);
    let mut count = |end| match end {
        End::Exit(_) => exits += 1,
        End::Fault(..) => faults += 1,
        End::OutOfSteps => endless += 1,
        End::DivisionByZero(_) | End::Unset(_) => {}
    };
    for _ in 0..2_000 {
        let mut code = program(&mut random, &callees);
        if let Ok(program) = code.program() {
            in_order += 1;
            with_loops += usize::from(Cfg::new(&program).loops().count() > 0);
            count(end(&program, random.clone()));
        }
        mutate(&mut code, &mut random);
        if let Ok(mutant) = code.program() {
            mutants += 1;
            count(end(&mutant, random.clone()));
        }
    }
    println!("{in_order} in order, {with_loops} with loops, {mutants} mutants");
    println!("{exits} exit, {faults} fault, {endless} do not end");
    assert!(in_order > 1_900 && with_loops > 800 && mutants > 600);
    assert!(exits > 1_000 && faults > 50 && endless > 100);
}

fn end(program: &Program, mut random: fastrand::Rng) -> End {
    let machine = Machine::new(program, 2048, Some(1), 1);
    let run = machine.run(20_000, &mut |_, name, arguments, memory| {
        let size = arguments[1].unwrap_or_default().min(4_096) as usize;
        Ok(if name == "allocate" { memory.add(Kind::Allocation, size, &mut random) } else { random.u64(..9) })
    });
    run.end
}
