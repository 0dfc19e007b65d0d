;; Calls through an element of a table that nobody filled.
(type $nothing (func))
(table 1 funcref)
(func $misbehave (result i32)
  (call_indirect (type $nothing) (i32.const 0))
  (i32.const 0))
