package fleet

import "skerry/cloudlink/fleet/place"

// placed is the workers as package place knows them. Each has a stage of the bundle "" besides,
// which stands for whichever a board wants that has not said.
func placed(workers []Worker) *place.Fleet {
	all := make([]place.Worker, len(workers))
	for i, w := range workers {
		all[i] = place.Worker{Name: w.Address, Draining: w.Draining}
		stages := w.Stages
		if len(stages) > 0 {
			stages = append([]Stage{stages[0]}, stages...)
			stages[0].Bundle = ""
		}
		for _, s := range stages {
			all[i].Stages = append(all[i].Stages, place.Stage{Bundle: s.Bundle, Weight: s.Weight, Hot: s.Hot, Full: s.Full, Wait: s.Wait})
		}
	}
	return place.New(all)
}

// first is the worker to which a board goes that nobody has, "" for none.
func first(workers []Worker, device, bundle string) string {
	return placed(workers).Choose(place.KeyOf(device), bundle).Worker
}

// order lists the workers that take boards in the order in which a board should try them.
func order(workers []Worker, device string) []string {
	return placed(workers).Order(place.KeyOf(device), "")
}
