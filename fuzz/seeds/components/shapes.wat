;; A component of many parts: types, a resource, a nested component, a module with memory, lifted and lowered functions.
(component
  (import "wasmproc:ipc/types@0.1.0" (instance $types
    (type $error (variant (case "limit" string) (case "denied" string)))
    (export "error" (type (eq $error)))))
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (alias export $poll "[method]pollable.block" (func $block))
  (component $nested
    (core module $empty)
    (core instance (instantiate $empty))
    (type $point (record (field "x" u32) (field "y" f64)))
    (export "point" (type $point)))
  (instance $nested (instantiate $nested))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (core func $block (canon lower (func $block)))
  (core module $main
    (import "host" "block" (func $block (param i32)))
    (import "memory" "memory" (memory 1))
    (global $count (mut i32) (i32.const 0))
    (table 2 funcref)
    (elem (i32.const 0) $run)
    (func $run (export "run") (result i32)
      (loop $again
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (br_if $again (i32.lt_u (global.get $count) (i32.const 9))))
      (v128.store (i32.const 0) (i8x16.splat (global.get $count)))
      (i32.const 0))
    (func (export "sizes") (param i32 i32) (result i32)
      (i32.store (i32.const 64) (local.get 0))
      (i32.store (i32.const 68) (call_indirect (result i32) (i32.const 0)))
      (i32.const 64)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "block" (func $block))))
    (with "memory" (instance $memory))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (func (export "sizes") (param "names" (list string)) (result (tuple u32 u32))
    (canon lift (core func $main "sizes") (memory (core memory $memory "memory"))
      (realloc (core func $memory "realloc"))))
  (instance (export "wasi:cli/run@0.2.6") (export "run" (func $run))))
