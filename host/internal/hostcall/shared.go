package hostcall

import (
	"github.com/sallyport-auth/sallyport/host/internal/shared"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// getSharedData is proxy_get_shared_data(key, size, **data, *size, *cas).
func getSharedData(c call) abi.Status {
	key, ok := c.bytes(0)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	if len(key) > c.env.Limits.SharedBytes {
		return abi.NotFound
	}
	value, cas, status := c.env.Data.Get(string(key))
	if status != abi.OK {
		return status
	}
	if status := c.vm.GiveString(value, c.u32(2), c.u32(3)); status != abi.OK {
		return status
	}
	if !c.vm.WriteUint32(c.u32(4), cas) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// setSharedData is proxy_set_shared_data(key, size, value, size, cas).
func setSharedData(c call) abi.Status {
	key, ok1 := c.bytes(0)
	value, ok2 := c.bytes(2)
	if !ok1 || !ok2 {
		return abi.InvalidMemoryAccess
	}
	most := c.env.Limits.SharedBytes
	if len(key)+len(value) > most { // before they are copied
		return tooMuch
	}
	return c.env.Data.Set(string(key), string(value), c.u32(4), c.env.Limits.SharedKeys, most)
}

// registerSharedQueue is proxy_register_shared_queue(name, size, *id).
func registerSharedQueue(c call) abi.Status {
	name, short, ok := c.name(0)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	root := c.root()
	if root == nil {
		return abi.BadArgument
	}
	if !short {
		return tooMuch
	}
	id, status := c.env.Queues.Register(root.Plugin.VMID, name, c.env.Limits.Queues, func(id uint32) {
		_ = root.VM().Do(func() { _, _ = root.VM().Call(root, vm.OnQueueReady, 0, root.ID(), id) })
	})
	if status != abi.OK {
		return status
	}
	return c.giveID(2, id)
}

// resolveSharedQueue is proxy_resolve_shared_queue(vm, size, name, size, *id). An
// empty vm id is the guest's own.
func resolveSharedQueue(c call) abi.Status {
	vmID, short1, ok1 := c.name(0)
	name, short2, ok2 := c.name(2)
	if !ok1 || !ok2 {
		return abi.InvalidMemoryAccess
	}
	if !short1 || !short2 {
		return abi.NotFound
	}
	if root := c.root(); vmID == "" && root != nil {
		vmID = root.Plugin.VMID
	}
	id, status := c.env.Queues.Resolve(vmID, name)
	if status != abi.OK {
		return status
	}
	return c.giveID(4, id)
}

func (c call) giveID(arg int, id uint32) abi.Status {
	if !c.vm.WriteUint32(c.u32(arg), id) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// enqueueSharedQueue is proxy_enqueue_shared_queue(id, data, size).
func enqueueSharedQueue(c call) abi.Status {
	message, ok := c.bytes(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	most := c.env.Limits.QueueBytes
	if len(message) > most { // before it is copied
		return tooMuch
	}
	return c.env.Queues.Enqueue(c.u32(0), string(message), most)
}

// dequeueSharedQueue is proxy_dequeue_shared_queue(id, **data, *size): EMPTY
// when there is no message.
func dequeueSharedQueue(c call) abi.Status {
	message, status := c.env.Queues.Dequeue(c.u32(0))
	if status != abi.OK {
		return status
	}
	return c.vm.GiveString(message, c.u32(1), c.u32(2))
}

// metrics returns the ids of the VM, which plugins that share it have in common.
func (c call) metrics() *shared.MetricIDs { return c.vm.Env.(*Env).Metrics }

// defineMetric is proxy_define_metric(type, name, size, *id).
func defineMetric(c call) abi.Status {
	name, short, ok := c.name(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	if !short {
		return tooMuch
	}
	id, status := c.metrics().Define(abi.MetricType(c.u32(0)), name, c.env.Limits.Metrics)
	if status != abi.OK {
		return status
	}
	return c.giveID(3, id)
}

// incrementMetric is proxy_increment_metric(id, offset).
func incrementMetric(c call) abi.Status { return c.metrics().Increment(c.u32(0), int64(c.args[1])) }

// recordMetric is proxy_record_metric(id, value).
func recordMetric(c call) abi.Status { return c.metrics().Record(c.u32(0), c.args[1]) }

// getMetric is proxy_get_metric(id, *value).
func getMetric(c call) abi.Status {
	value, status := c.metrics().Get(c.u32(0))
	if status != abi.OK {
		return status
	}
	if !c.vm.WriteUint64(c.u32(1), value) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// callForeignFunction is proxy_call_foreign_function(name, size, argument, size,
// **data, *size): NOT_FOUND for an unknown one. The result is written on errors
// too.
func callForeignFunction(c call) abi.Status {
	name, _, ok1 := c.name(0)
	argument, ok2 := c.bytes(2)
	if !ok1 || !ok2 {
		return abi.InvalidMemoryAccess
	}
	f := c.env.Foreign[name]
	if f == nil {
		return abi.NotFound
	}
	if len(argument) > c.env.Limits.ForeignBytes {
		return tooMuch
	}
	result, status := f(c.vm.Effective(), argument)
	if given := c.vm.GiveBytes(result, c.u32(4), c.u32(5)); given != abi.OK {
		return given
	}
	return status
}
