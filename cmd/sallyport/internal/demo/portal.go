package demo

// Service is a service that developers are offered.
type Service struct {
	Name, Title, Description string
	AutoApprove, ShowIssuer  bool
}

// Services are those of the demo's portal.
var Services = []Service{
	{Name: "catalogue", Title: "Catalogue", Description: "What the shop sells, with prices and pictures.", AutoApprove: true, ShowIssuer: true},
	{Name: "payments", Title: "Payments", Description: "Takes money, and gives it back. Somebody looks at each application first.", ShowIssuer: true},
	{Name: "shipping", Title: "Shipping", Description: "Labels, and where parcels are."},
}

// Application is an application of a developer. Its client id is known to the provider.
type Application struct {
	Owner                       string // user name
	Name, Description, ClientID string
	// Access and Wants are services that it has access to, and asks for.
	Access, Wants []string
}

// Applications are those of the demo's developers. One of their requests waits.
var Applications = []Application{
	{Owner: "alice", Name: "Shop front", Description: "The web shop that customers see.", ClientID: "shop-front", Access: []string{"catalogue"}, Wants: []string{"payments"}},
	{Owner: "bob", Name: "Price watch", Description: "Looks every hour whether a price has changed.", ClientID: "price-watch", Access: []string{"catalogue"}},
}

// Unregistered is the client id of an application that the provider knows and nobody has
// registered yet: for whoever tries the portal.
const Unregistered = "stock-check"

// Developer is somebody with an account at the portal.
type Developer struct{ Subject, Email, Name string }

// Developers are the demo's users.
func Developers() (list []Developer) {
	for _, u := range users {
		list = append(list, Developer{u.Name, u.Email, u.FullName})
	}
	return list
}
