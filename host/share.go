package host

import (
	"slices"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/host/internal/vm"
)

// canary starts the plugin once in a VM that is thrown away, as Envoy does before any
// worker has to do with it.
func (f *Filter) canary() error {
	env := f.vmEnv()
	env.Logger = env.Logger.With("canary", true)
	v, err := f.module.NewVM(f.ctx, 0, env, nil)
	if err != nil {
		return err
	}
	plugin := f.plugin()
	plugin.Env = nil // the VM is this plugin's alone
	ok := false
	err = v.Do(func() {
		var root *vm.Root
		if root, ok = v.NewRoot(plugin, newWorker(f, new(atomic.Bool))); root != nil {
			root.Stop()
		}
	})
	if dead := v.Dead(); dead != nil {
		return dead
	}
	v.Close()
	if err != nil || !ok {
		return ErrRefused
	}
	return nil
}

// follow starts another plugin in the VMs of the filter.
func (f *Filter) follow(o *Filter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	ok := true
	for i, s := range f.slots {
		w := s.current.Load()
		fw := newWorker(o, w.dead)
		fw.vm = w.vm
		// In one that has ended, replace will start it.
		_ = w.vm.Do(func() { fw.root, ok = w.vm.NewRoot(o.plugin(), fw) })
		os := &slot{index: i}
		os.current.Store(fw)
		o.slots = append(o.slots, os)
		if !ok {
			return ErrRefused
		}
	}
	f.followers = append(f.followers, o)
	return nil
}

// unfollow ends a plugin in the VMs of the filter; false when it has put off its end in
// one of them.
func (f *Filter) unfollow(o *Filter) (ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers = slices.DeleteFunc(f.followers, func(g *Filter) bool { return g == o })
	ended = true
	for _, s := range o.slots {
		w := s.current.Load()
		_ = w.vm.Do(func() { ended = w.end() && ended })
	}
	return ended
}
