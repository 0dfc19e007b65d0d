;; deep: recurses without end. Each call adds to the result of the next, so that no call is the last thing a function
;; does; the argument counts, so that no two calls are alike.
;;
;; Must happen: the job ends in Trapped(stack overflow). The host's own stack, on which a thread worker runs the guest,
;; has to be larger than what the guest may use of it.
(module
  (memory (export "memory") 1 1)
  (func (export "cofferdam_abi_1"))
  (func $down (param $depth i32) (result i32)
    (i32.add
      (call $down (i32.add (local.get $depth) (i32.const 1)))
      (local.get $depth)))
  (func (export "handle") (result i32)
    (call $down (i32.const 0))))
