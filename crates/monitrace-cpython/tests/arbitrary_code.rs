//! Any bytes at all: refused or rewritten soundly, never a panic, an overflow or an endless loop.

use monitrace_core::UnitIndex;
use monitrace_cpython::bytecode::opcodes::TABLE;
use monitrace_cpython::bytecode::{
    Analysis, CodeBytes, Landing, Plan, RewriteError, verify, verify_with_landing,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Owned {
    code: Vec<u8>,
    exception_table: Vec<u8>,
    line_table: Vec<u8>,
    first_line: i32,
    stack_size: u32,
    const_count: u32,
}

impl Owned {
    fn bytes(&self) -> CodeBytes<'_> {
        CodeBytes {
            code: &self.code,
            exception_table: &self.exception_table,
            line_table: &self.line_table,
            first_line: self.first_line,
            stack_size: self.stack_size,
            const_count: self.const_count,
            name_count: 256,
            is_generator: true,
        }
    }
}

/// One instruction with its caches, so that what follows it is decoded as meant.
fn instruction(name: &str, arg: u8) -> Vec<u8> {
    let row = TABLE.iter().find(|row| row.name == name).unwrap();
    let mut bytes = vec![row.number, arg];
    bytes.resize(2 + 2 * usize::from(row.caches), 0);
    bytes
}

/// Some instructions that leave the stack as it was.
fn balanced() -> impl Strategy<Value = Vec<u8>> {
    let bodies: [&[&str]; 11] = [
        &["NOP"],
        &["NOP"],
        &["LOAD_CONST", "POP_TOP"],
        &["LOAD_FAST", "POP_JUMP_FORWARD_IF_FALSE"],
        &["LOAD_FAST", "POP_JUMP_BACKWARD_IF_NONE"],
        &["LOAD_FAST", "RETURN_VALUE"],
        &["LOAD_FAST", "LOAD_CONST", "BINARY_OP", "POP_TOP"],
        &["PUSH_NULL", "LOAD_FAST", "PRECALL", "CALL", "POP_TOP"],
        &["PUSH_NULL", "LOAD_FAST", "LOAD_FAST", "CALL_FUNCTION_EX", "POP_TOP"],
        &["JUMP_FORWARD"],
        &["JUMP_BACKWARD"],
    ];
    (prop::sample::select(bodies.to_vec()), 0..8u8).prop_map(|(names, distance)| {
        let arg = |name: &str| if name.contains("JUMP") { distance } else { 0 };
        names.iter().flat_map(|name| instruction(name, arg(name))).collect()
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(TABLE), prop_oneof![0..4u8, any::<u8>()])
        .prop_map(|(row, arg)| instruction(row.name, arg))
}

fn line_table() -> impl Strategy<Value = Vec<u8>> {
    // Entries without columns for one or two units each, or anything.
    let entry = (0..2u8, prop_oneof![Just(0u8), Just(2), Just(3), Just(4)]);
    let likely = vec(entry, 0..40)
        .prop_map(|entries| entries.iter().flat_map(|&(units, by)| [0x80 | 13 << 3 | units, by]).collect());
    prop_oneof![4 => likely, 1 => vec(any::<u8>(), 0..40)]
}

fn exception_table() -> impl Strategy<Value = Vec<u8>> {
    let entry = (0..20u8, 1..20u8, 0..40u8, 0..4u8)
        .prop_map(|(start, length, target, depth)| vec![0x80 | start, length, target, depth]);
    prop_oneof![2 => Just(Vec::new()), 4 => entry, 1 => vec(any::<u8>(), 0..20)]
}

fn owned() -> impl Strategy<Value = Owned> {
    let likely = vec(prop_oneof![40 => balanced(), 1 => anything()], 0..15).prop_map(|instructions| {
        let mut code = vec![151, 0]; // RESUME
        code.extend(instructions.concat());
        code.extend([100, 0, 83, 0]); // LOAD_CONST, RETURN_VALUE
        code
    });
    let code = prop_oneof![6 => likely, 1 => vec(any::<u8>(), 0..60)];
    let numbers = (prop_oneof![0..1000, any::<i32>()], 0..12u32, prop_oneof![0..300u32, any::<u32>()]);
    (code, exception_table(), line_table(), numbers).prop_map(
        |(code, exception_table, line_table, (first_line, stack_size, const_count))| Owned {
            code,
            exception_table,
            line_table,
            first_line,
            stack_size,
            const_count,
        },
    )
}

const SEND: u8 = 123;

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn refused_or_rewritten_soundly(
        code in owned(),
        (chosen, gates) in any::<(u64, bool)>(),
        limit in prop::option::of(0..12u32),
        (unit, from, which) in (0..40u32, 0..40u32, 0..5),
    ) {
        let sound = verify(&code.bytes());
        let analysis = Analysis::new(&code.bytes());
        // What is verified is understood, but for line tables, for jumps that no path reaches and for handlers
        // between instructions that belong together.
        if let (Ok(_), Err(error)) = (&sound, &analysis) {
            let known = matches!(
                error,
                RewriteError::LineTable | RewriteError::Jump(_) | RewriteError::Context(_)
            );
            prop_assert!(known, "{error}");
        }
        let Ok(analysis) = analysis else { return Ok(()) };
        let landing = match which {
            0 => None,
            1 => Some(Landing::After(UnitIndex(unit))),
            2 => Some(Landing::Between { unit: UnitIndex(unit), from: UnitIndex(from) }),
            3 => Some(Landing::Handler { unit: UnitIndex(unit), from: UnitIndex(from) }),
            _ => Some(Landing::At { unit: UnitIndex(unit), from: UnitIndex(from) }),
        };
        let wanted = |place: usize| chosen >> (place % 64) & 1 != 0;
        let copy = match analysis.assemble(&Plan { wanted: &wanted, gates, stack_limit: limit, landing }) {
            Ok(copy) => copy,
            Err(RewriteError::Landing(_)) if landing.is_some() => return Ok(()),
            Err(RewriteError::Length) if code.const_count > u32::MAX - 100 => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(limit.is_none_or(|limit| copy.stack_size <= limit.max(code.stack_size)));
        for unit in 0..copy.code.len() as u32 / 2 + 2 {
            let original = copy.original_unit(UnitIndex(unit));
            prop_assert!(original.0 < code.code.len() as u32 / 2);
        }
        if sound.is_ok() {
            let bytes = CodeBytes {
                code: &copy.code,
                exception_table: &copy.exception_table,
                line_table: &copy.line_table,
                stack_size: copy.stack_size,
                const_count: code.const_count + copy.added_consts(),
                name_count: code.bytes().name_count + copy.added_names(),
                ..code.bytes()
            };
            let depth = match (copy.landing, copy.landing_depth) {
                (Some(unit), Some(depth)) if depth <= copy.stack_size => {
                    verify_with_landing(&bytes, unit, depth)
                }
                // The frame's owner has kept what there was no room for.
                (Some(_), Some(depth)) => {
                    verify_with_landing(&bytes, copy.landing_past.unwrap(), depth - 2)
                }
                _ => verify(&bytes),
            };
            prop_assert!(depth.is_ok(), "{depth:?}\n{copy:?}");
            // The copy is code like any other, but for the jumps of hooks behind a SEND.
            let again = Analysis::new(&bytes).err();
            let has_send = copy.code.chunks(2).any(|unit| unit[0] == SEND);
            prop_assert!(again.is_none() || (has_send && matches!(again, Some(RewriteError::Stack(_)))), "{again:?}");
        }
    }
}

/// The generator above is only worth something if much of what it makes is sound.
#[test]
fn much_of_it_is_sound() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let made = (0..2000).map(|_| owned().new_tree(&mut runner).unwrap().current());
    let sound = made.filter(|code| verify(&code.bytes()).is_ok() && Analysis::new(&code.bytes()).is_ok());
    let places: Vec<_> =
        sound.map(|code| Analysis::new(&code.bytes()).unwrap().places().len()).filter(|&n| n > 2).collect();
    assert!(places.len() > 50, "{} of 2000", places.len());
}
