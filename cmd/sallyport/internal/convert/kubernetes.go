package convert

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// object is a Kubernetes object.
type object struct {
	node                  *yaml.Node
	kind, namespace, name string
	used                  int
}

func (o *object) label() string { return o.kind + " " + o.namespace + "/" + o.name }

// annotation returns the value of an annotation.
func (o *object) annotation(name string) string {
	return scalar(dig(o.node, "metadata", "annotations", name))
}

// cluster is what the inputs have of a cluster.
type cluster struct {
	d       *draft
	objects []*object
	by      map[[3]string]*object // kind, namespace and name
	// upstreams are the services of the file by namespace, name and port.
	upstreams map[string]*yaml.Node
	// absent are those of them whose Service is not among the inputs, by namespace.
	absent   map[string][]*yaml.Node
	bindings []*binding
}

// add takes an object in, or those of a list.
func (c *cluster) add(n *yaml.Node, depth int) {
	kind := scalar(get(n, "kind"))
	if items := get(n, "items"); strings.HasSuffix(kind, "List") && items != nil && depth < 4 {
		for _, e := range elements(items) {
			if isObject(e) {
				c.add(e, depth+1)
			} else if e.Kind == yaml.MappingNode { // items of a typed list have no kind of their own
				set(e, "apiVersion", get(n, "apiVersion"))
				set(e, "kind", text(strings.TrimSuffix(kind, "List")))
				c.add(e, depth+1)
			}
		}
		return
	}
	o := &object{node: n, kind: kind, name: scalar(dig(n, "metadata", "name")), namespace: scalar(dig(n, "metadata", "namespace"))}
	if o.namespace == "" && kind != "KongClusterPlugin" {
		o.namespace = c.d.options.Namespace
	}
	if other := c.find(o.kind, o.namespace, o.name); other != nil {
		c.d.note(Refused, n, o.label(), "is in the inputs twice")
		return
	}
	c.objects = append(c.objects, o)
	c.by[[3]string{o.kind, o.namespace, o.name}] = o
}

// find returns an object, nil for none.
func (c *cluster) find(kind, namespace, name string) *object {
	return c.by[[3]string{kind, namespace, name}]
}

// ignored are kinds that say nothing of who may call what: they stay in the cluster.
var ignored = []string{"Namespace", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Pod", "Job", "CronJob", "ConfigMap", "ServiceAccount",
	"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "IngressClass", "Endpoints", "EndpointSlice", "PersistentVolumeClaim",
	"HorizontalPodAutoscaler", "PodDisruptionBudget", "CustomResourceDefinition", "ReferenceGrant", "Secret", "Service", "KongPlugin"}

// convert makes entities of the objects. Ingresses come first: they say which services
// and plugins there are.
func (c *cluster) convert() {
	c.upstreams = map[string]*yaml.Node{}
	for _, o := range c.objects {
		if !c.ours(o) {
			continue
		}
		switch o.kind {
		case "Ingress":
			c.ingress(o)
		case "KongConsumer":
			c.consumer(o)
		case "KongClusterPlugin":
			c.global(o)
		case "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "TCPIngress", "UDPIngress":
			c.otherRoute(o)
		case "KongConsumerGroup":
			c.consumerGroup(o)
		case "KongIngress", "KongUpstreamPolicy", "KongVault", "KongLicense", "KongCustomEntity", "IngressClassParameters", "KongServiceFacade":
			c.d.note(LeftOut, o.node, o.label(), "is not converted")
		default:
			if !slices.Contains(ignored, o.kind) {
				c.d.note(Changed, o.node, o.label(), "has no part in the file")
			}
		}
	}
	c.bind()
	for _, o := range c.objects {
		if (o.kind == "KongPlugin" || o.kind == "KongClusterPlugin") && o.used == 0 && c.ours(o) {
			c.d.note(LeftOut, o.node, o.label(), "is bound to nothing: no Ingress, and no Service of one, names it in konghq.com/plugins")
			if guardObject(o) {
				c.suspect(o)
			}
		}
	}
}

// suspect closes the routes of services that a guard which is bound to nothing may be meant
// for: Services that are not among the inputs, and may name it.
func (c *cluster) suspect(guard *object) {
	for _, namespace := range slices.Sorted(maps.Keys(c.absent)) {
		if guard.kind == "KongPlugin" && guard.namespace != namespace {
			continue
		}
		for _, s := range c.absent[namespace] {
			for _, r := range elements(get(s, "routes")) {
				c.d.close(r, c.d.from[s], "its Service is not among the inputs, and may name %s, which is bound to nothing: add the Service, or take the plugin out", guard.label())
			}
		}
	}
}

// classes are where an object says whose it is.
const classAnnotation = "kubernetes.io/ingress.class"

// ours reports whether an object is for the ingress class that is converted, or for none.
func (c *cluster) ours(o *object) bool {
	class := o.annotation(classAnnotation)
	if class == "" && o.kind == "Ingress" {
		class = scalar(dig(o.node, "spec", "ingressClassName"))
	}
	if class == "" || class == c.d.options.IngressClass {
		return true
	}
	if o.used == 0 {
		o.used++
		c.d.note(LeftOut, o.node, o.label(), "is of the ingress class %q, and %q is converted (--ingress-class)", class, c.d.options.IngressClass)
	}
	return false
}

// otherRoute leaves out a route of a kind that is not converted. It may be guarded, so
// that its requests must not reach others.
func (c *cluster) otherRoute(o *object) {
	c.d.note(LeftOut, o.node, o.label(), "only Ingress is converted: write it as one, or as a route of a declarative file")
	if strings.HasPrefix(o.kind, "TCP") || strings.HasPrefix(o.kind, "UDP") || strings.HasPrefix(o.kind, "TLS") {
		return
	}
	r := c.d.at(mapping(), o.node)
	set(r, "name", text(o.namespace+"/"+o.name))
	if hosts := dig(o.node, "spec", "hostnames"); hosts != nil {
		set(r, "hosts", hosts)
	}
	c.d.ghosts = append(c.d.ghosts, ghost{route: r, at: c.d.from[o.node]})
}

// consumerGroup refuses a group with plugins that guard: whoever is in it would pass
// without.
func (c *cluster) consumerGroup(o *object) {
	c.d.note(LeftOut, o.node, o.label(), "consumer groups are a Kong Enterprise entity")
	c.noGuards(o)
}

// noGuards refuses plugins of consumers and groups of them, unless they guard nothing.
func (c *cluster) noGuards(o *object) {
	for _, name := range pluginNames(o) {
		p := c.plugin(o.namespace, name)
		if p == nil || guardObject(p) {
			c.d.note(Refused, o.node, o.label(), "has the plugin %q, which may guard it: plugins of consumers are not supported, "+
				"and whoever it is would pass without; take it out, or bind it to an Ingress", name)
			continue
		}
		p.used++
		c.d.note(LeftOut, p.node, p.label()+" of "+o.label(), guardsNothing)
	}
}
