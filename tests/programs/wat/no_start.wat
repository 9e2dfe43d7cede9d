;; A core module without a _start function.
(module (func (export "bake")))
