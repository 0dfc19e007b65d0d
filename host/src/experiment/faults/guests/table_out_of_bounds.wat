;; Calls through an element that the table does not have.
(type $nothing (func))
(table 1 funcref)
(func $misbehave (result i32)
  (call_indirect (type $nothing) (i32.const 1))
  (i32.const 0))
