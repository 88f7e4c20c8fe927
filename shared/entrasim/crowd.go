package entrasim

import (
	"fmt"
	"math/rand/v2"
)

// written is a name in its own script, and how it is written in a mail address.
type written struct{ name, ascii string }

// scripts are the places of a crowd besides those of People.
var scripts = []struct {
	code, company    string
	given, surnames  []written
	cities           []string
	mobile           string
	surnameGoesFirst bool
}{
	{
		code: "JP", company: "Fabrikam Japan", mobile: "+81 90 5555 %04d", surnameGoesFirst: true,
		given:    []written{{"葵", "aoi"}, {"蓮", "ren"}, {"結衣", "yui"}, {"大翔", "hiroto"}, {"さくら", "sakura"}},
		surnames: []written{{"佐藤", "sato"}, {"鈴木", "suzuki"}, {"高橋", "takahashi"}, {"田中", "tanaka"}},
		cities:   []string{"東京", "大阪", "札幌"},
	}, {
		code: "GR", company: "Fabrikam Greece", mobile: "+30 690 555 %04d",
		given:    []written{{"Ελένη", "eleni"}, {"Γιώργος", "giorgos"}, {"Κατερίνα", "katerina"}, {"Νίκος", "nikos"}},
		surnames: []written{{"Παπαδάκης", "papadakis"}, {"Γεωργίου", "georgiou"}, {"Νικολάου", "nikolaou"}},
		cities:   []string{"Αθήνα", "Θεσσαλονίκη"},
	}, {
		code: "EG", company: "Fabrikam Egypt", mobile: "+20 100 555 %04d",
		given:    []written{{"فاطمة", "fatima"}, {"محمد", "mohamed"}, {"ليلى", "layla"}, {"عمر", "omar"}},
		surnames: []written{{"حسن", "hassan"}, {"إبراهيم", "ibrahim"}, {"منصور", "mansour"}},
		cities:   []string{"القاهرة", "الإسكندرية"},
	}, {
		code: "IN", company: "Fabrikam India", mobile: "+91 98555 5%04d",
		given:    []written{{"आदित्य", "aditya"}, {"प्रिया", "priya"}, {"रोहन", "rohan"}, {"अनन्या", "ananya"}},
		surnames: []written{{"शर्मा", "sharma"}, {"वर्मा", "verma"}, {"पटेल", "patel"}},
		cities:   []string{"मुंबई", "दिल्ली", "पुणे"},
	}, {
		code: "UA", company: "Fabrikam Ukraine", mobile: "+380 50 555 %04d",
		given:    []written{{"Олена", "olena"}, {"Андрій", "andrii"}, {"Софія", "sofiia"}, {"Тарас", "taras"}},
		surnames: []written{{"Шевченко", "shevchenko"}, {"Коваленко", "kovalenko"}, {"Бондар", "bondar"}},
		cities:   []string{"Київ", "Львів", "Одеса"},
	}, {
		code: "VN", company: "Fabrikam Vietnam", mobile: "+84 90 555 %04d", surnameGoesFirst: true,
		given:    []written{{"Thị Hương", "huong"}, {"Minh Đức", "duc"}, {"Ngọc Ánh", "anh"}, {"Quốc Bảo", "bao"}},
		surnames: []written{{"Nguyễn", "nguyen"}, {"Trần", "tran"}, {"Phạm", "pham"}},
		cities:   []string{"Hà Nội", "Đà Nẵng"},
	},
}

// crowd makes up n people, of whom every fourth has a name in another script than Latin without marks. Addresses and numbers are unique
// among all crowds of different seeds.
func crowd(seed uint64, n int) []Person {
	r := rand.New(rand.NewPCG(seed, 0x63726f7764))
	people := People(seed, n)
	for i := range people {
		p := &people[i]
		if i%4 == 3 {
			p.become(r, r.IntN(len(scripts)))
		}
		// Names repeat in a crowd; what has to be unique does not.
		p.MailNickname = fmt.Sprintf("%s.%d.%d", p.MailNickname, seed, i+1)
		p.EmployeeID = fmt.Sprintf("%s%d-%d", p.Country, seed%10_000, i+1)
	}
	return people
}

// become gives a person a name and a place of one of the scripts. The job stays.
func (p *Person) become(r *rand.Rand, script int) {
	s := scripts[script]
	given, surname := pick(r, s.given), pick(r, s.surnames)
	p.GivenName, p.Surname, p.DisplayName = given.name, surname.name, given.name+" "+surname.name
	if s.surnameGoesFirst {
		p.DisplayName = surname.name + " " + given.name
	}
	p.MailNickname = given.ascii + "." + surname.ascii
	p.City, p.Country, p.Company = pick(r, s.cities), s.code, s.company
	p.Mobile = fmt.Sprintf(s.mobile, 100+r.IntN(100))
}
