package calibrate

import (
	"fmt"
	"math/rand/v2"
)

// What the model is asked to write about: the topics and forms of the report are not among
// those of the fit, nor those of the tune text among either.
var (
	fitForms = []string{
		"What is %s?", "Explain %s to a child.", "Give me five facts about %s.", "Write a short story about %s.",
		"Why does %s matter?", "Write a poem about %s.", "How would you start learning about %s?", "List the advantages and drawbacks of %s.",
		"Write an email to a colleague about %s.", "Describe the history of %s.", "What are common mistakes with %s?",
		"Compare %s with its alternatives.", "Write a Python function that has to do with %s.", "Summarize what you know about %s.",
		"Ask me three questions about %s and answer them.", "Write a dialogue between two friends about %s.",
	}
	fitTopics = []string{
		"the tides", "bread", "volcanoes", "chess", "electric cars", "the human heart", "gardening", "Roman roads", "black holes", "violins",
		"sleep", "sorting algorithms", "coffee", "whales", "the printing press", "climbing mountains", "vaccines", "money", "bicycles", "dreams",
		"weather forecasts", "the Moon", "databases", "tea ceremonies", "photography", "elections", "bees", "glass", "jazz", "prime numbers",
		"deserts", "teamwork", "libraries", "rice", "earthquakes", "public transport", "friendship", "compilers", "paper", "the ocean floor",
		"cooking soup", "wind power", "museums", "the Renaissance", "running shoes", "insulin", "clocks", "rivers", "robots", "folk tales",
		"job interviews", "dinosaurs", "the Silk Road", "yoga", "recycling", "penguins", "interest rates", "poetry", "batteries", "the brain",
		"football", "the French Revolution", "linked lists", "houseplants", "airplanes", "coral reefs", "time management", "hurricanes", "pasta", "the alphabet",
		"genes", "satellites", "parenting", "opera", "wolves", "bridges", "the stock market", "snow", "the pyramids", "machine learning",
		"camping", "honesty", "probability", "carpets", "rainforests", "tennis", "the Vikings", "headaches", "chocolate", "unit tests",
		"the solar system", "dancing", "taxes", "horses", "fermentation", "maps", "village life", "magnets", "the Olympic Games", "writing letters",
	}
	tuneForms = []string{
		"Can you help me understand %s?", "Write a blog post about %s.", "What would an expert say about %s?", "Plan a lesson about %s.",
	}
	tuneTopics = []string{
		"elephants", "knitting", "the Cold War", "binary search", "breakfast", "glaciers", "shyness", "airports", "vitamins", "drums",
	}
	reportForms = []string{
		"Tell me about %s.", "How does one get better at %s?", "Give tips to somebody who is new to %s.", "What should I know about %s before a trip?",
		"Write a product description that mentions %s.", "In two sentences, what makes %s special?",
	}
	reportTopics = []string{
		"lighthouses", "swimming", "solar panels", "Antarctica", "cheese", "public speaking", "trains", "the immune system", "origami", "networks",
		"owls", "budgeting", "castles", "spreadsheets", "thunderstorms", "pottery", "marathons", "the cello", "mushrooms", "time zones",
	}
)

// prompts pairs every form with every topic, in seeded order.
func prompts(forms, topics []string, seed uint64) []string {
	var out []string
	for _, f := range forms {
		for _, t := range topics {
			out = append(out, fmt.Sprintf(f, t))
		}
	}
	rand.New(rand.NewPCG(seed, 3)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
