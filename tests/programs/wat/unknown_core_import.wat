;; A core module that imports what preview 1 doesn't have.
(module
  (import "oven" "heat" (func))
  (memory (export "memory") 1)
  (func (export "_start")))
