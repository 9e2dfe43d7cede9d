;; A command that ends through the exit function of WASI 0.2.12, which has a code.
(component
  (import "wasi:cli/exit@0.2.12" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit_with_code (canon lower (func $exit "exit-with-code")))
  (core module $m
    (import "host" "exit" (func $exit (param i32)))
    (func (export "run") (result i32) (call $exit (i32.const 77)) (i32.const 0)))
  (core instance $i (instantiate $m (with "host" (instance (export "exit" (func $exit_with_code))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $c (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $c)))
