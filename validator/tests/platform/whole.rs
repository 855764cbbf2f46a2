//! No loose ends: what a verifier relies on when it follows a platform's positions.

use pds_validator::platform::{Argument, ArgumentKind, FieldKind, Length, Platform, Position, Returns};

/// Checks that every position and number in a platform leads somewhere.
pub fn check_whole(platform: &Platform) {
    for helper in platform.helpers.values() {
        check_list(platform, &helper.arguments, helper.returns);
        assert!(platform.classes.contains_key(&helper.class));
        for handle in &helper.effects.invalidates {
            platform.handle(*handle);
        }
        if let Some(calls) = helper.calls {
            let fields = platform.structure(calls.structure).fields.len();
            assert!(
                [calls.parameter, calls.inputs, calls.outputs].iter().all(|at| usize::from(at.0) < fields)
            );
        }
    }
    for operation in platform.operations.values() {
        check_list(platform, &operation.inputs, operation.returns);
        check_list(platform, &operation.outputs, Returns::Nothing);
    }
    for object in platform.objects.values() {
        platform.handle(object.handle);
        assert!(platform.helpers.contains_key(&object.getter));
        assert!(
            object
                .keys
                .values()
                .all(|key| key.index.iter().all(|index| platform.indices.contains_key(index)))
        );
    }
    for structure in &platform.structs {
        for field in &structure.fields {
            assert!(field.offset + field.bytes <= structure.bytes);
            if let FieldKind::Pointer(_, Length::Count { count, .. }) = field.kind {
                assert!(usize::from(count.0) < structure.fields.len());
            }
        }
    }
}

fn check_list(platform: &Platform, list: &[Argument], returns: Returns) {
    let is_there = |at: Position| assert!(usize::from(at.0) < list.len());
    for argument in list {
        match argument.kind {
            ArgumentKind::Number(scalar, range) => {
                let (least, most) = scalar.bounds();
                assert!(
                    range.is_none_or(|range| least <= range.min
                        && range.min <= range.max
                        && range.max <= most)
                );
            }
            ArgumentKind::Handle(handle) => drop(platform.handle(handle).name.clone()),
            ArgumentKind::Struct(structure) => drop(platform.structure(structure).name.clone()),
            ArgumentKind::Memory(_, length) => match length {
                Length::Count { count: at, .. }
                | Length::TextWithin(at)
                | Length::Until { end: at, .. }
                | Length::CountAt(at) => is_there(at),
                Length::Bytes(bytes) => assert!(bytes > 0),
                Length::Text => {}
                Length::Outputs => unreachable!("only a structure points at outputs"),
            },
            ArgumentKind::Freed => {}
        }
    }
    match returns {
        Returns::Allocation { size: at, .. }
        | Returns::Argument { of: at, .. }
        | Returns::Inside { of: at, .. } => {
            is_there(at);
        }
        Returns::Handle { handle, .. } => drop(platform.handle(handle).name.clone()),
        Returns::Nothing | Returns::Number(..) => {}
    }
}
