package registry

import (
	"context"
	"fmt"
	"time"
)

// Contract is an application's access to a service. Kong calls it an application
// instance.
type Contract struct {
	ID            string
	ApplicationID string
	// Service is the service's name or, where it has none, its id.
	Service          string
	Status           ContractStatus
	Suspended        bool
	Created, Updated time.Time
}

// CompositeID names application and service in one text, as Kong does.
func (c Contract) CompositeID() string { return c.ApplicationID + "_" + c.Service }

// ContractFilter is which contracts are wanted; empty fields do not count.
type ContractFilter struct {
	ApplicationID, DeveloperID, Service string
	Status                              ContractStatus
}

var contracts = &table[Contract]{
	name:    "contracts",
	columns: `contracts.id, contracts.application_id, contracts.service, contracts.status, contracts.suspended, contracts.created, contracts.updated`,
	scan: func(s scanner) (k Contract, err error) {
		var status string
		var suspended, created, updated int64
		err = s.Scan(&k.ID, &k.ApplicationID, &k.Service, &status, &suspended, &created, &updated)
		k.Status, k.Suspended, k.Created, k.Updated = ParseStatus(status), suspended != 0, moment(created), moment(updated)
		return k, err
	},
	id: func(k Contract) string { return k.ID },
}

// Contract returns the contract with an id.
func (r *Registry) Contract(ctx context.Context, id string) (Contract, error) {
	return contracts.one(ctx, r.read(), `contracts.id = ?`, known(id))
}

// Contracts lists contracts.
func (r *Registry) Contracts(ctx context.Context, want ContractFilter, p Page) (List[Contract], error) {
	var f filter
	f.is("contracts.application_id", want.ApplicationID)
	f.is("contracts.service", want.Service)
	f.is("contracts.status", want.Status.String())
	if want.DeveloperID != "" {
		f.and(`contracts.application_id IN (SELECT id FROM applications WHERE developer_id = ?)`, known(want.DeveloperID))
	}
	return contracts.page(ctx, r.read(), &f, p)
}

// RequestContract asks for an application's access to a service, which is approved at
// once or by somebody. Whether there is such a service, the caller knows. The error is a
// Conflict of service where it was asked for before.
func (r *Registry) RequestContract(ctx context.Context, a Actor, application, service string, autoApprove bool) (k Contract, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		bad := checks{}
		bad.required("service", service)
		bad.text("service", service, maxName)
		if err := bad.err(); err != nil {
			return err
		}
		p, err := applications.one(ctx, w.conn, `applications.id = ?`, known(application))
		if err != nil {
			return err
		}
		n, err := w.count(ctx, `SELECT COUNT(*) FROM contracts WHERE application_id = ?`, p.ID)
		if err != nil {
			return err
		}
		if err := room("application", n, maxContracts); err != nil {
			return err
		}
		k = Contract{ID: newID(), ApplicationID: p.ID, Service: service, Status: first(autoApprove), Created: moment(micro(w.now)), Updated: moment(micro(w.now))}
		_, err = w.exec(ctx, `INSERT INTO contracts (id, application_id, service, status, suspended, created, updated) VALUES (?, ?, ?, ?, 0, ?, ?)`,
			k.ID, k.ApplicationID, k.Service, k.Status.String(), micro(k.Created), micro(k.Updated))
		if err != nil {
			return taken(err, map[string]string{"service": service})
		}
		w.audit("request", "contracts", k.ID, fmt.Sprintf("application %q, service %q, %s", p.Name, service, k.Status))
		return w.changeOwner(ctx, p.ConsumerID)
	})
	return k, err
}

// SetContractStatus approves, rejects or revokes a contract.
func (r *Registry) SetContractStatus(ctx context.Context, a Actor, id string, status ContractStatus) (Contract, error) {
	return r.updateContract(ctx, a, id, "set status", func(k *Contract) (string, error) {
		if status.String() == "" {
			return "", invalid("status", "is none")
		}
		old := k.Status
		k.Status = status
		return fmt.Sprintf("%s to %s", old, status), nil
	})
}

// SuspendContract suspends a contract, whatever its status, or ends that.
func (r *Registry) SuspendContract(ctx context.Context, a Actor, id string, suspended bool) (Contract, error) {
	return r.updateContract(ctx, a, id, "suspend", func(k *Contract) (string, error) {
		old := k.Suspended
		k.Suspended = suspended
		return fmt.Sprintf("suspended %t to %t", old, suspended), nil
	})
}

func (r *Registry) updateContract(ctx context.Context, a Actor, id, action string, change func(*Contract) (string, error)) (k Contract, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		if k, err = contracts.one(ctx, w.conn, `contracts.id = ?`, known(id)); err != nil {
			return err
		}
		what, err := change(&k)
		if err != nil {
			return err
		}
		k.Updated = moment(micro(w.now))
		if _, err := w.exec(ctx, `UPDATE contracts SET status = ?, suspended = ?, updated = ? WHERE id = ?`,
			k.Status.String(), bit(k.Suspended), micro(k.Updated), k.ID); err != nil {
			return err
		}
		return w.changeContract(ctx, action, k, what)
	})
	return k, err
}

// DeleteContract removes a contract.
func (r *Registry) DeleteContract(ctx context.Context, a Actor, id string) error {
	return r.write(ctx, a, func(w *tx) error {
		k, err := contracts.one(ctx, w.conn, `contracts.id = ?`, known(id))
		if err != nil {
			return err
		}
		return w.deleteContract(ctx, k)
	})
}

func (w *tx) deleteContract(ctx context.Context, k Contract) error {
	if _, err := w.exec(ctx, `DELETE FROM contracts WHERE id = ?`, k.ID); err != nil {
		return err
	}
	return w.changeContract(ctx, "delete", k, k.Status.String())
}

// changeContract tells of a contract that is another than before, or gone.
func (w *tx) changeContract(ctx context.Context, action string, k Contract, what string) error {
	p, err := applications.one(ctx, w.conn, `applications.id = ?`, k.ApplicationID)
	if err != nil {
		return err
	}
	w.audit(action, "contracts", k.ID, fmt.Sprintf("application %q, service %q, %s", p.Name, k.Service, what))
	return w.changeOwner(ctx, p.ConsumerID)
}
