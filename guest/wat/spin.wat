;; spin: an endless loop in `handle`, without a call to the host.
;;
;; Must happen: the job ends in Deadline (or OutOfFuel), and its worker, or the one that replaces it, serves the next.
(module
  (memory (export "memory") 1 1)
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (loop $forever
      (br $forever))
    unreachable))
