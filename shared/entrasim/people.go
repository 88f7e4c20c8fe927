package entrasim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Person is somebody a directory could hold. Every person is made up.
type Person struct {
	DisplayName  string
	GivenName    string
	Surname      string
	MailNickname string // ASCII, unique among the people of one call
	JobTitle     string
	Department   string
	City         string
	Country      string // ISO 3166-1 alpha-2: MX or US
	Office       string
	Mobile       string
	EmployeeID   string // unique among the people of one call
	Company      string
}

// country holds what a person's country decides.
type country struct {
	code, company     string
	given, surnames   []string
	cities            []string
	mobile            string // format of a four-digit number
	surnamesPerPerson int
}

var countries = []country{
	{
		code: "MX", company: "Fabrikam Mexico", mobile: "+52 55 5555 %04d", surnamesPerPerson: 2,
		given: []string{
			"Sofía", "José", "Valentina", "Luis", "Ximena", "Carlos", "Guadalupe", "Miguel", "Fernanda", "Alejandro",
			"Mariana", "Jesús", "Daniela", "Ricardo", "Lucía", "Héctor", "Andrea", "Raúl", "Paola", "Iván",
		},
		surnames: []string{
			"Hernández", "García", "Martínez", "López", "González", "Pérez", "Rodríguez", "Sánchez", "Ramírez", "Cruz",
			"Flores", "Gómez", "Morales", "Vázquez", "Reyes", "Jiménez", "Torres", "Ruiz", "Mendoza", "Núñez",
		},
		cities: []string{"Ciudad de México", "Guadalajara", "Monterrey", "Puebla", "Querétaro", "Mérida", "Tijuana"},
	},
	{
		code: "US", company: "Fabrikam US", mobile: "+1 206 555 %04d", surnamesPerPerson: 1,
		given: []string{
			"Olivia", "James", "Emma", "Michael", "Ava", "Robert", "Mia", "David", "Grace", "William",
			"Chloe", "Joseph", "Hannah", "Thomas", "Zoe", "Daniel", "Nora", "Kevin", "Ruth", "Brian",
		},
		surnames: []string{
			"Smith", "Johnson", "Williams", "Brown", "Jones", "Miller", "Davis", "Wilson", "Anderson", "Taylor",
			"Moore", "Jackson", "Lee", "Thompson", "White", "Harris", "Clark", "Lewis", "O'Neil", "Walker",
		},
		cities: []string{"Seattle", "Austin", "Chicago", "Boston", "Denver", "Atlanta", "San Diego"},
	},
}

// jobs are departments and the titles found there.
var jobs = []struct {
	department string
	titles     []string
}{
	{"Engineering", []string{"Software Engineer", "Test Engineer", "Engineering Manager"}},
	{"Finance", []string{"Accountant", "Financial Analyst", "Controller"}},
	{"Human Resources", []string{"Recruiter", "HR Business Partner"}},
	{"Marketing", []string{"Brand Manager", "Content Strategist"}},
	{"Operations", []string{"Plant Supervisor", "Logistics Coordinator", "Buyer"}},
	{"Sales", []string{"Account Executive", "Sales Manager", "Sales Engineer"}},
}

// sameName bounds how often somebody gets another name because theirs is taken: in a crowd of thousands some share one.
const sameName = 20

// People makes up n people, half of them in Mexico and half in the United States. The same seed makes the same people, and
// the first of a longer list are those of a shorter one.
func People(seed uint64, n int) []Person {
	r := rand.New(rand.NewPCG(seed, 0x70656f706c65))
	taken, names := map[string]int{}, map[string]bool{}
	people := make([]Person, n)
	for i := range people {
		people[i] = newPerson(r, countries[i%len(countries)], i)
		for try := 0; names[people[i].DisplayName] && try < sameName; try++ {
			people[i] = newPerson(r, countries[i%len(countries)], i)
		}
		names[people[i].DisplayName] = true
		nickname := &people[i].MailNickname
		if taken[*nickname]++; taken[*nickname] > 1 {
			*nickname = fmt.Sprintf("%s%d", *nickname, taken[*nickname])
		}
	}
	return people
}

func newPerson(r *rand.Rand, c country, i int) Person {
	given, city, job := pick(r, c.given), pick(r, c.cities), pick(r, jobs)
	surnames := make([]string, c.surnamesPerPerson)
	for j := range surnames {
		surnames[j] = pick(r, c.surnames)
	}
	surname := strings.Join(surnames, " ")
	return Person{
		DisplayName:  given + " " + surname,
		GivenName:    given,
		Surname:      surname,
		MailNickname: nickname(given) + "." + nickname(surnames[0]),
		JobTitle:     pick(r, job.titles),
		Department:   job.department,
		City:         city,
		Country:      c.code,
		Office:       fmt.Sprintf("%d/%d", 1+r.IntN(30), 1000+r.IntN(4000)),
		Mobile:       fmt.Sprintf(c.mobile, 100+r.IntN(100)),
		EmployeeID:   fmt.Sprintf("%s%06d", c.code, i+1),
		Company:      c.company,
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

var unaccented = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ñ", "n", "'", "")

func nickname(name string) string { return unaccented.Replace(strings.ToLower(name)) }
