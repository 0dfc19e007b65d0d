;; trap: writes "partial" to its reply, gives a reason, then executes `unreachable`.
;;
;; Must happen: the job ends in Trapped(unreachable) with the reason "trapped on purpose". What was written before is
;; kept apart from a reply, or dropped; it is never taken for one. No other job notices.
(module
  (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
  (import "cofferdam" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "partial")
  (data (i32.const 16) "trapped on purpose")
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (call $output_write (i32.const 0) (i32.const 7))
    (call $fail (i32.const 16) (i32.const 18))
    unreachable))
